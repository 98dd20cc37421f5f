/** `answers` through the command line; sources, judge and reward model are on the loopback interface. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { answersVerb } from "#src/cli/answers.js";
import { runCommandLine } from "#src/cli/program.js";
import { conversationId } from "#src/data/conversation.js";
import { readConversations } from "#src/data/read.js";
import { type Behaviour, type ServedRequest, startServer, type TestServer } from "../engine/endpoint/server.ts";
import { memoryStreams } from "./memory-streams.ts";

let folder: string;
let prompts: string;
let out: string;
let server: TestServer;

/** "adder" is right, "lazy" says 2 or nothing, "cut" never ends; the judge and the reward model like long answers. */
function answerOf({ model, messages, path, index }: ServedRequest): Behaviour {
  const question = messages.at(-1)!.content;
  if (path.endsWith("/reward")) return { status: 200, body: { score: question.length } };
  if (model === "judge") return { text: question.includes("It is #### ") ? "9/10" : "3" };
  if (model === "adder") return { text: `It is #### ${1 + Number(question.split("+")[1])}` };
  if (model === "cut") return { text: `and then ${index}`, finish: "length" };
  return { text: question.endsWith("4") ? "" : "#### 2" };
}

interface DrawnRecord {
  readonly turns: readonly { readonly role: string; readonly content: string }[];
  readonly skill?: string;
  readonly drawn: { readonly prompt: string; readonly source: string; readonly score?: number; readonly by?: string };
}

const records = async (): Promise<DrawnRecord[]> =>
  (await readFile(out, "utf8"))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-answers-"));
  prompts = join(folder, "prompts.jsonl");
  out = join(folder, "drawn.jsonl");
  const lines = [
    {
      turns: [
        { role: "user", content: "1+1" },
        { role: "assistant", content: "#### 2" },
      ],
      skill: "sum",
    },
    { instruction: "1+3", output: "#### 4" },
    { question: "1+4" },
    { question: "1+9", tools: [{ type: "function", function: { name: "add", parameters: {} } }] },
  ];
  await writeFile(prompts, `${lines.map((one) => JSON.stringify(one)).join("\n")}\n`);
  server = await startServer(answerOf);
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

async function answers(models: readonly string[], more: readonly string[] = []) {
  const streams = memoryStreams({ environment: {} });
  const named = models.flatMap((model) => ["--model", `${model}@${server.url}`]);
  const own = ["answers", "--prompts", prompts, ...named, "--out", out, "--retries", "0", "--quiet", ...more];
  const exitCode = await runCommandLine(own, streams, new AbortController().signal, [answersVerb]);
  return { exitCode, stdout: streams.stdout.text, stderr: streams.stderr.text };
}

test("every source answers every prompt, and what is usable and new becomes a conversation with its source", async () => {
  const { exitCode, stdout, stderr } = await answers(["adder", "lazy", "cut"], ["--per-prompt", "2"]);
  expect(exitCode, stderr).toBe(0);
  const drawn = await records();
  const [first, second, third] = ["1+1", "1+3", "1+4"].map((content) =>
    conversationId([{ role: "user", content }]).slice(0, 16),
  );
  expect(drawn.map(({ turns, drawn: { source, prompt } }) => [prompt, source, turns.at(-1)!.content])).toEqual([
    [first, "adder", "It is #### 2"],
    [first, "lazy", "#### 2"],
    [second, "adder", "It is #### 4"],
    [second, "lazy", "#### 2"],
    [third, "adder", "It is #### 5"],
  ]);
  expect(drawn[0]!.skill).toBe("sum");
  expect((await readConversations(out)).conversations).toHaveLength(5);
  expect(stdout).toMatch(/^adder +6 +0 +0 +0 +3 +3 +12$/m);
  expect(stdout).toMatch(/^lazy +6 +2 +0 +0 +2 +2 +4$/m);
  expect(stdout).toMatch(/^cut +6 +0 +0 +6 +0 +0 +/m);
  const card = JSON.parse(await readFile(join(folder, "drawn-card.json"), "utf8"));
  expect(card).toMatchObject({ prompts: 3, records: 5, unanswered: 0, settings: { per_prompt: 2, top_p: 0.95 } });
  expect(card.left_out).toMatchObject([{ reason: "with tools, with which no model is asked here", count: 1 }]);
  const seeds = server.requests.map(({ seed }) => seed);
  expect(new Set(seeds).size).toBe(6);
  expect(server.requests[0]).toMatchObject({ temperature: 0.8, top_p: 0.95, max_tokens: 1024 });
});

test("a question that comes twice is asked twice, and prompts that are added make nobody be asked again", async () => {
  const text = await readFile(prompts, "utf8");
  await writeFile(prompts, `{"question": "1+7"}\n{"question": "1+7"}\n`);
  await answers(["adder"], ["--per-prompt", "1"]);
  expect(server.count).toBe(2);
  expect(new Set(server.requests.map(({ seed }) => seed)).size).toBe(2);
  await writeFile(prompts, `${text}{"question": "1+7"}\n{"question": "1+7"}\n`);
  await answers(["adder"], ["--per-prompt", "1"]);
  expect(server.count).toBe(5);
  expect(await records()).toHaveLength(5);
});

test("the prompts themselves are not overwritten", async () => {
  await answers(["adder"]);
  const own = await readFile(out, "utf8");
  prompts = out;
  const { exitCode, stderr } = await answers(["adder"]);
  expect([exitCode, await readFile(out, "utf8")]).toEqual([2, own]);
  expect(stderr).toContain("is what is asked");
});

test("the same command asks nothing again and writes the same bytes, whatever is selected", async () => {
  await answers(["adder", "lazy"]);
  const [asked, bytes] = [server.count, await readFile(out, "utf8")];
  await answers(["adder", "lazy"]);
  expect(server.count).toBe(asked);
  expect(await readFile(out, "utf8")).toBe(bytes);
  const { exitCode } = await answers(["adder", "lazy"], ["--select", "rule", "--keep", "all"]);
  expect(exitCode).toBe(0);
  expect(server.count).toBe(asked);
  expect((await readdir(folder)).filter((name) => !name.endsWith("jsonl") && !name.endsWith("json"))).toEqual([]);
});

describe("selection", () => {
  test("by a rule keeps right answers, and says to how many prompts there is none", async () => {
    const { stdout } = await answers(["lazy"], ["--select", "rule", "--per-prompt", "1"]);
    expect((await records()).map(({ turns }) => turns[0]!.content)).toEqual(["1+1"]);
    expect(stdout).toContain("1 answers to 3 prompts, none to 2");
  });

  test("by a judge keeps the best of all, with its score", async () => {
    const judge = ["--select", "judge", "--judge", "judge", "--judge-url", server.url, "--per-prompt", "1"];
    const { exitCode, stderr, stdout } = await answers(["lazy", "adder"], judge);
    expect(exitCode, stderr).toBe(0);
    expect((await records()).map(({ drawn: { source, score, by } }) => [source, score, by])).toEqual([
      ["adder", 9, "judge"],
      ["adder", 9, "judge"],
      ["adder", 9, "judge"],
    ]);
    expect(stdout).toMatch(/^adder +3 +0 +0 +0 +0 +3 +3 +12$/m);
  });

  test("by a reward model asks it once for each answer, with the answer as the last turn", async () => {
    const reward = ["--select", "reward", "--reward-url", `${server.url}/reward`, "--reward-model", "scores"];
    const { exitCode, stderr } = await answers(
      ["lazy", "adder"],
      [...reward, "--per-prompt", "1", "--keep", "best-of-each"],
    );
    expect(exitCode, stderr).toBe(0);
    expect((await records()).map(({ drawn: { source, score } }) => [source, score])).toEqual([
      ["lazy", 6],
      ["adder", 12],
      ["lazy", 6],
      ["adder", 12],
      ["adder", 12],
    ]);
    const asked = server.requests.filter(({ path }) => path === "/v1/reward");
    expect(asked).toHaveLength(5);
    expect(asked[0]).toMatchObject({ model: "scores" });
    expect(asked[0]!.messages.map(({ role }) => role)).toEqual(["user", "assistant"]);
    await answers(["lazy", "adder"], [...reward, "--per-prompt", "1"]);
    expect(server.requests.filter(({ path }) => path === "/v1/reward")).toHaveLength(5);
  });
});

test.each([
  [["--select", "judge"], "a judge's score needs a judge"],
  [["--select", "reward"], "--reward-url"],
  [["--reward-url", "http://127.0.0.1:1"], "belongs to --select reward"],
  [["--judge", "x"], "belongs to --select judge"],
  [["--select", "nats"], "gives answers only"],
  [["--judge-url", "http://127.0.0.1:1"], "belongs to --select judge"],
  [["--rule", "text"], "belongs to --select rule"],
  [["--pattern", "x"], "belongs to --select rule"],
  [["--temperature", "0"], "all 5 answers to a prompt are the same"],
  [["--select", "regex"], "--select"],
])("%j: one sentence", async (more, sentence) => {
  const { exitCode, stderr } = await answers(["adder"], more);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(sentence);
  expect(server.count).toBe(0);
});

test("a file of somebody else is not overwritten", async () => {
  await writeFile(out, "mine\n");
  const { exitCode, stderr } = await answers(["adder"]);
  expect([exitCode, await readFile(out, "utf8")]).toEqual([2, "mine\n"]);
  expect(stderr).toContain("no data set of answers");
});

test("where nothing can be used, the reasons are told and no file is written", async () => {
  const { exitCode, stderr } = await answers(["cut"]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain("none of 15 answers to 3 prompts can be used: 0 empty, 0 refused, 15 cut");
  expect(await readdir(folder)).not.toContain("drawn.jsonl");
});
