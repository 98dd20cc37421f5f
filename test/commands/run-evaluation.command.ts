/** `run`, `plan` and `evaluate --run` with several benchmarks, a judge on the loopback interface, and gates. */
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ServedRequest, startServer, type TestServer } from "../engine/endpoint/server.ts";
import { type Finished, fusechat, PICO_RECIPE, temporaryFolder } from "../run/fixtures.ts";

const PATIENCE_MS = 300_000;
const KEY = "a-key-for-tests";

let folder: string;
let recipe: string;
let run: string;
let server: TestServer;
let first: Finished;

const environment = (more: Record<string, string> = {}) => ({
  ...process.env,
  ...{ FUSECHAT_JUDGE_MODEL: "strict", FUSECHAT_JUDGE_URL: server.url, OPENAI_API_KEY: KEY },
  ...more,
});

const GATES = `gates:
    - fused.mt_bench >= 1
    - fused.short.nats_per_byte < pivot.short + 50
    - fused.short < pivot.short - 50
    - fused.exact_match > 100`;

function recipeText(gates: string): string {
  return `${PICO_RECIPE}evaluate:
  benchmarks:
    - { benchmark: held-out, as: short, max_length: 64, models: [pivot, fused, targets] }
    - { benchmark: exact-match, rule: number, max_tokens: 4, models: [pivot, fused] }
    - { benchmark: mt-bench, questions: questions.jsonl, prompts: prompts.jsonl, max_tokens: 4, models: [pivot, fused] }
  judge: { concurrency: 2 }
  ${gates}
`;
}

const prompt = (name: string, fields: string[]) => ({
  name,
  type: "single",
  system_prompt: "You grade.",
  prompt_template: fields.map((field) => `${field}: {${field}}`).join("\n"),
  description: "",
  category: "general",
  output_format: "[[rating]]",
});

const jsonl = (values: readonly unknown[]) => `${values.map((value) => JSON.stringify(value)).join("\n")}\n`;

beforeAll(async () => {
  folder = await temporaryFolder();
  run = join(folder, "run");
  server = await startServer(({ messages }: ServedRequest) => ({
    text: `It is what it is. Rating: [[${1 + (messages.at(-1)!.content.length % 9)}]]`,
  }));
  await writeFile(
    join(folder, "questions.jsonl"),
    jsonl([
      { question_id: 1, category: "writing", turns: ["Write a line.", "And another."] },
      { question_id: 2, category: "stem", turns: ["What falls?", "Why does it?"] },
    ]),
  );
  const [one, two] = [
    ["question", "answer"],
    ["question_1", "answer_1", "question_2", "answer_2"],
  ];
  await writeFile(
    join(folder, "prompts.jsonl"),
    jsonl([
      prompt("single-v1", one!),
      prompt("single-math-v1", [...one!, "ref_answer_1"]),
      prompt("single-v1-multi-turn", two!),
      prompt("single-math-v1-multi-turn", [...two!, "ref_answer_1", "ref_answer_2"]),
    ]),
  );
  // Exact match needs references that its rule finds an answer in.
  await writeFile(
    join(folder, "sums.jsonl"),
    jsonl(
      [3, 5].map((n) => ({
        turns: [
          { role: "user", content: `1 + ${n}?` },
          { role: "assistant", content: `#### ${n + 1}` },
        ],
      })),
    ),
  );
  recipe = join(folder, "recipe.yaml");
  const text = recipeText(GATES).replace("rule: number", "data: sums.jsonl, rule: number");
  await writeFile(recipe, text);
  first = await fusechat(["run", recipe, "--out", run], { env: environment() }).finished;
}, PATIENCE_MS);

afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

describe("a run whose recipe demands something", () => {
  test("ends with 3 and one sentence where it does not hold", () => {
    expect(first.exitCode, first.stderr).toBe(3);
    expect(first.stderr.trim().split("\n").at(-1)).toMatch(
      new RegExp(
        `^${run}: 2 of 4 gates are not met: fused\\.short < pivot\\.short - 50 \\(\\S+ < -\\S+ does not hold\\); fused\\.exact_match > 100 \\(\\S+ > 100 does not hold\\)$`,
      ),
    );
    expect(first.stdout).toMatch(/^ {2}met {6}fused\.mt_bench >= 1: \d(\.\d+)? >= 1$/m);
    expect(first.stdout).toMatch(/^ {2}NOT MET {2}fused\.exact_match > 100: /m);
    expect(first.stdout).toMatch(/^model +short nats per byte +against the pivot$/m);
    expect(first.stdout).toMatch(/^model +mt-bench average/m);
    expect(first.stdout).toMatch(
      /^fused, answers and judgments: 2 could not be parsed, .*\d cut at the limit of tokens\.$/m,
    );
  });

  test("leaves every benchmark's results, what was answered and judged, the gates and the report", async () => {
    expect((await readdir(join(run, "evaluate"))).sort()).toEqual([
      ...["exact-match", "exact-match.json", "gates.json", "mt-bench", "mt-bench.json", "short", "short.json"],
    ]);
    expect((await readdir(join(run, "evaluate/short"))).sort()).toEqual([
      "fused.json",
      "mistral.json",
      "target-qwen2.json",
    ]);
    expect((await readdir(join(run, "evaluate/mt-bench"))).sort()).toEqual([
      "fused",
      "fused.json",
      "mistral",
      "mistral.json",
    ]);
    const { gates } = JSON.parse(await readFile(join(run, "evaluate/gates.json"), "utf8"));
    expect(gates.map(({ met }: { met: boolean }) => met)).toEqual([true, true, false, false]);
    const page = await readFile(join(run, "report.html"), "utf8");
    for (const text of ["What the recipe demands", "fused.exact_match &gt; 100", "mt-bench: average", "not met"]) {
      expect(page).toContain(text);
    }
  });

  test("run again has nothing to do, asks nobody, and ends with 3 again", async () => {
    const asked = server.requests.length;
    const again = await fusechat(["run", recipe, "--out", run, "--json"], { env: environment() }).finished;
    expect(again.exitCode).toBe(3);
    expect(server.requests.length).toBe(asked);
    const events = again.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const result = events.find(({ type }) => type === "result");
    expect(result.units.every(({ skipped }: { skipped: boolean }) => skipped)).toBe(true);
    expect(Object.keys(result.evaluate)).toEqual(["short", "exact-match", "mt-bench"]);
    expect(events.at(-1)).toMatchObject({ type: "error", code: "gate", exit_code: 3 });
  });

  test("asked the judge each question once, with the key of the environment, which stands in no file", async () => {
    expect(server.requests).toHaveLength(8);
    expect(server.requests.every(({ headers }) => headers.authorization === `Bearer ${KEY}`)).toBe(true);
    for (const entry of await readdir(run, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      expect(await readFile(join(entry.parentPath, entry.name), "latin1")).not.toContain(KEY);
    }
  });

  test("goes on with a larger budget or another address, but not with another judge", async () => {
    const richer = join(folder, "richer.yaml");
    const text = await readFile(recipe, "utf8");
    await writeFile(richer, text.replace("concurrency: 2", "concurrency: 4, max_calls: 500"));
    expect((await fusechat(["run", richer, "--out", run], { env: environment() }).finished).exitCode).toBe(3);
    const other = environment({ FUSECHAT_JUDGE_MODEL: "mild" });
    expect(await fusechat(["run", recipe, "--out", run], { env: other }).finished).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: `${run}: evaluate.judge.model is no longer what this run began with; restore it, use another --out, or --force to start anew\n`,
    });
  });
});

/** The first run before it evaluated anything: training it again would show nothing that other tests do not. */
async function unevaluated(name: string): Promise<string> {
  const out = join(folder, name);
  await cp(run, out, { recursive: true });
  await rm(join(out, "evaluate"), { recursive: true });
  for (const unit of await readdir(join(out, ".units"))) {
    if (/^(evaluate|compare|gates)/.test(unit)) await rm(join(out, ".units", unit), { recursive: true });
  }
  return out;
}

describe("a run that is killed while the judge is asked", () => {
  test(
    "goes on where it was: what was answered is never asked again",
    async () => {
      const answered: string[] = [];
      let patient = false;
      const slow = await startServer(({ messages }) => {
        const question = messages.map(({ content }) => content).join("\n");
        if (answered.length >= 3 && !patient) return { hang: true };
        answered.push(question);
        return { text: "Rating: [[5]]" };
      });
      try {
        const out = await unevaluated("killed");
        const env = environment({ FUSECHAT_JUDGE_URL: slow.url });
        const one = fusechat(["run", recipe, "--out", out], { env });
        await expect.poll(() => keptJudgments(join(out, "evaluate/mt-bench")), { timeout: PATIENCE_MS }).toBe(3);
        one.kill("SIGKILL");
        await one.finished;
        patient = true;
        const two = await fusechat(["run", recipe, "--out", out], { env }).finished;
        expect(two.exitCode, two.stderr).toBe(3);
        expect(new Set(answered).size).toBe(answered.length);
        expect(answered.sort()).toEqual(
          server.requests
            .map(({ messages }) => messages.map(({ content }) => content).join("\n"))
            .slice(0, 8)
            .sort(),
        );
      } finally {
        await slow.close();
      }
    },
    PATIENCE_MS,
  );
});

/** How many of the judge's replies stand in files below a folder. */
async function keptJudgments(below: string): Promise<number> {
  const entries = await readdir(below, { recursive: true, withFileTypes: true }).catch(() => []);
  let count = 0;
  for (const entry of entries.filter(({ name }) => name.endsWith(".jsonl"))) {
    count += (await readFile(join(entry.parentPath, entry.name), "utf8")).split("Rating: [[5]]").length - 1;
  }
  return count;
}

describe("before the first call", () => {
  test("`plan` states calls and tokens of the judge", async () => {
    const { exitCode, stdout, stderr } = await fusechat(["plan", recipe, "--no-trial"], { env: environment() })
      .finished;
    expect(exitCode, stderr).toBe(0);
    expect(stdout).toMatch(
      /^evaluate mt-bench: 2 models, 2 prompts each; 8 calls of strict, about \d+ tokens asked and at most [\d,]+ answered$/m,
    );
    expect(stdout).not.toContain("budget");
    const poor = join(folder, "poor.yaml");
    const text = await readFile(recipe, "utf8");
    await writeFile(poor, text.replace("concurrency: 2", "concurrency: 2, max_calls: 7, max_tokens: 100"));
    const warned = await fusechat(["plan", poor, "--no-trial"], { env: environment() }).finished;
    expect(warned.stdout).toMatch(/^The judge's budget of 7 calls will not do: 8 are needed\.$/m);
    expect(warned.stdout).toMatch(/^The judge's budget of 100 tokens may not do: up to about [\d,]+ are needed\.$/m);
    expect(server.requests).toHaveLength(8);
  });

  test("a run without a judge is refused", async () => {
    const { FUSECHAT_JUDGE_MODEL: _, ...without } = environment() as Record<string, string>;
    const none = await fusechat(["run", recipe, "--out", join(folder, "never")], { env: without }).finished;
    expect(none).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: `${recipe}:8:3 evaluate: this recipe needs a judge, and its model is not known; set judge.model or FUSECHAT_JUDGE_MODEL\n`,
    });
    expect(await readdir(folder)).not.toContain("never");
  });
});

test(
  "a run whose budget is spent fails, keeps what was judged, and goes on with a larger one",
  async () => {
    const text = await readFile(recipe, "utf8");
    const poor = join(folder, "poorer.yaml");
    await writeFile(poor, text.replace("concurrency: 2", "concurrency: 1, max_calls: 6"));
    const out = await unevaluated("poorer");
    const before = server.requests.length;
    const spent = await fusechat(["run", poor, "--out", out], { env: environment() }).finished;
    expect(spent.exitCode).toBe(1);
    // One budget for both models: four questions of the first, and two of the second.
    expect(spent.stderr.trim().split("\n").at(-1)).toMatch(
      /^judge strict: the budget of 6 calls is spent; 2 judgments /,
    );
    expect(server.requests.length).toBe(before + 6);
    const richer = await fusechat(["run", recipe, "--out", out], { env: environment() }).finished;
    expect(richer.exitCode, richer.stderr).toBe(3);
    expect(server.requests.length).toBe(before + 8);
  },
  PATIENCE_MS,
);

describe("`evaluate` of a run", () => {
  test("all its models on its own held-out conversations, with one command", async () => {
    const out = join(folder, "kept");
    const { exitCode, stdout, stderr } = await fusechat(["evaluate", "held-out", "--run", run, "--out", out]).finished;
    expect(exitCode, stderr).toBe(0);
    const names = [...stdout.matchAll(/^(\S+) +\d\.\d{4} \[/gm)].map(([, name]) => name);
    expect(names).toEqual(["mistral", "qwen2", "target-qwen2", "fused", "merge-linear", "sft"]);
    expect(stdout).toMatch(/^model +held-out nats per byte +against the pivot$/m);
    expect((await readdir(join(out, "held-out"))).length).toBe(6);
    const comparison = JSON.parse(await readFile(join(out, "held-out.json"), "utf8"));
    expect(comparison).toMatchObject({ benchmark: "held-out", reference: "mistral" });
  });

  test("some of its models by name or role, or one by RUN:NAME", async () => {
    const arguments_ = ["evaluate", "held-out", "--run", run, "--models", "fused,targets", "--json", "--quiet"];
    const chosen = JSON.parse((await fusechat(arguments_).finished).stdout);
    expect(chosen.models.map(({ name }: { name: string }) => name)).toEqual(["target-qwen2", "fused"]);
    const pair = ["evaluate", "held-out", "--model", `${run}:fused`, "--against", `${run}:pivot`, "--json", "--quiet"];
    const document = JSON.parse((await fusechat(pair).finished).stdout);
    expect(document).toMatchObject({ model: "fused", against: { model: "mistral", conversations: 3 } });
    const wrong = await fusechat(["evaluate", "held-out", "--run", run, "--models", "fusd"]).finished;
    expect(wrong).toMatchObject({ exitCode: 2, stdout: "" });
    expect(wrong.stderr).toContain(`${run}: the run has no model "fusd"; did you mean "fused"?`);
  });

  test("a judged benchmark says what it will cost, keeps what is said, and asks nothing twice", async () => {
    const out = join(folder, "judged");
    const arguments_ = [
      ...["evaluate", "mt-bench", "--model", `${run}:fused`, "--out", out, "--max-tokens", "4"],
      ...["--questions", join(folder, "questions.jsonl"), "--prompts", join(folder, "prompts.jsonl")],
    ];
    const before = server.requests.length;
    const planned = await fusechat([...arguments_, "--plan"], { env: environment() }).finished;
    expect(planned.exitCode, planned.stderr).toBe(0);
    expect(planned.stdout).toMatch(/^fused +2 +4 +0 +\d+ +\d[\d,]*$/m);
    expect(server.requests.length).toBe(before);
    const once = await fusechat([...arguments_, "--json"], { env: environment() }).finished;
    expect(once.exitCode, once.stderr).toBe(0);
    expect(once.stderr).toMatch(/2 prompts, 4 calls of strict, about \d+ tokens asked and at most [\d,]+ answered/);
    expect(server.requests.length).toBe(before + 4);
    const twice = await fusechat([...arguments_, "--json"], { env: environment() }).finished;
    expect(twice.stdout).toBe(once.stdout);
    expect(server.requests.length).toBe(before + 4);
  });
});
