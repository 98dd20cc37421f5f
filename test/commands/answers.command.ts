/** `answers` and a recipe's own answers as processes: real models of the laboratory, killed and started again. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Behaviour, startServer } from "../engine/endpoint/server.ts";
import { fusechat, HELD_OUT, temporaryFolder, writeRecipe } from "../run/fixtures.ts";

const PATIENCE_MS = 600_000;
const MODELS = resolve(import.meta.dirname, "../../lab/models");
const PROMPTS = [
  "Backwards, please: u v f c",
  "Walk on from the ford.",
  "In winter, how much is a belt?",
  "Who is Ada?",
];

let folder: string;
let prompts: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  prompts = join(folder, "prompts.jsonl");
  await writeFile(prompts, PROMPTS.map((question) => `${JSON.stringify({ question })}\n`).join(""));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const linesOf = async (path: string): Promise<Record<string, unknown>[]> =>
  (await readFile(path, "utf8"))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

test(
  "killed while a server answers and started again, nothing that was answered is asked for twice",
  async () => {
    let last = 0;
    const server = await startServer(({ messages, index, model }): Behaviour => {
      last = index;
      return { text: `${model} ${messages.at(-1)!.content} ${index % 3}`, delayMs: 40 };
    });
    try {
      const out = join(folder, "drawn.jsonl");
      const command = ["answers", "--prompts", prompts, "--model", `a@${server.url}`, "--model", `b@${server.url}`];
      const whole = [...command, "--out", out, "--per-prompt", "10", "--concurrency", "2"];
      const killed = fusechat(whole);
      await expect.poll(() => last, { timeout: PATIENCE_MS, interval: 5 }).toBeGreaterThan(50);
      killed.kill("SIGKILL");
      await killed.finished;
      const kept = (await linesOf(join(folder, "drawn-answers-a.jsonl"))).length;
      expect(kept).toBeGreaterThan(30);
      const { exitCode, stderr } = await fusechat(whole).finished;
      expect(exitCode, stderr).toBe(0);
      // 80 answers; of those in flight at the kill, twice the concurrency, each was paid for without a line.
      expect(server.count).toBeGreaterThanOrEqual(80);
      expect(server.count).toBeLessThanOrEqual(84);
      const sources = (await linesOf(out)).map(({ drawn }) => (drawn as { source: string }).source);
      expect(new Set(sources)).toEqual(new Set(["a", "b"]));
    } finally {
      await server.close();
    }
  },
  PATIENCE_MS,
);

test(
  "a recipe trains on what its sources say, chosen by the fewest nats, and goes on from a kill with the same bytes",
  async () => {
    const text = `pivot: { model: ${MODELS}/lab-mistral, name: pivot }
sources: [{ model: ${MODELS}/lab-llama, name: llama }, { model: ${MODELS}/lab-qwen2, name: qwen2 }]
data: { path: ${prompts}, held_out_path: ${HELD_OUT}, max_length: 128, answers: { per_prompt: 2, max_tokens: 60, select: nats } }
fuse: { lr: 1.0e-3, epochs: 1, batch: 2 }
evaluate: []
engine: { kind: onnx, threads: 2 }
`;
    const recipe = await writeRecipe(folder, text);
    const [undisturbed, disturbed] = [join(folder, "undisturbed"), join(folder, "disturbed")];
    const first = await fusechat(["run", recipe, "--out", undisturbed]).finished;
    expect(first.exitCode, first.stderr).toBe(0);
    const records = await linesOf(join(undisturbed, "data/train.jsonl"));
    expect(records.length).toBeGreaterThan(0);
    expect(records.length).toBeLessThanOrEqual(PROMPTS.length);
    for (const { drawn } of records) expect(drawn).toMatchObject({ by: "nats", score: expect.any(Number) });
    const card = JSON.parse(await readFile(join(undisturbed, "data/train-card.json"), "utf8"));
    expect(card).toMatchObject({ prompts: 4, records: records.length, settings: { select: "nats", keep: "best" } });
    const killed = fusechat(["run", recipe, "--out", disturbed]);
    await expect.poll(() => killed.printed().stderr, { timeout: PATIENCE_MS, interval: 5 }).toContain("answers qwen2");
    killed.kill("SIGKILL");
    await killed.finished;
    const second = await fusechat(["run", recipe, "--out", disturbed]).finished;
    expect(second.exitCode, second.stderr).toBe(0);
    for (const file of ["data/train.jsonl", "data/train-card.json", "fused/model.safetensors"]) {
      expect(await readFile(join(disturbed, file)), file).toEqual(await readFile(join(undisturbed, file)));
    }
  },
  PATIENCE_MS,
);
