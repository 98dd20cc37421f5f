/** `evaluate` and `chat` with the torch engine: a model is loaded once and asked many times, and says what the embedded one says. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createEngine, TORCH } from "#src/engine/index.js";
import { fusechat } from "../cli/command.ts";

const GOLDEN = resolve(import.meta.dirname, "../golden");
const HELD_OUT = join(GOLDEN, "pipeline/held_out.jsonl");
const MISTRAL = join(GOLDEN, "models/mistral");
const TARGET = join(GOLDEN, "pipeline/targets/qwen2");
const { python } = inject("torch");
const FLAGS = ["--engine", "torch", "--python", python, "--device", "cpu", "--compute", "float32"];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-questions-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The document of a command, with either engine. */
async function both(...arguments_: readonly string[]): Promise<Record<string, unknown>[]> {
  const documents = [];
  for (const flags of [[], FLAGS]) {
    const { code, stdout, stderr } = await fusechat(...arguments_, "--json", ...flags);
    expect(code, stderr).toBe(0);
    documents.push(JSON.parse(stdout));
  }
  return documents;
}

test("held-out figures are the embedded engine's", async () => {
  const [ours, theirs] = await both("evaluate", "held-out", "--model", TARGET, "--data", HELD_OUT);
  const value = (document: Record<string, unknown> | undefined): number =>
    (document!.metrics as { nats_per_byte: { value: number } }).nats_per_byte.value;
  expect(Math.abs(value(theirs) - value(ours))).toBeLessThan(1e-6);
});

test("an ensemble's answers are the embedded engine's: asked, and read by every member", async () => {
  const data = join(folder, "questions.jsonl");
  const turns = (n: number) => [
    { role: "user", content: `What is ${n} + ${n}?` },
    { role: "assistant", content: `#### ${2 * n}` },
  ];
  await writeFile(data, [1, 2, 3].map((n) => `${JSON.stringify({ turns: turns(n) })}\n`).join(""));
  const [ours, theirs] = await both(
    ...["evaluate", "exact-match", "--model", MISTRAL, "--model", TARGET, "--ensemble", "lowest-perplexity"],
    ...["--data", data, "--max-tokens", "6"],
  );
  expect(theirs).toEqual(ours);
});

test("a chat's answer is the embedded engine's, token by token", async () => {
  const [ours, theirs] = await both("chat", MISTRAL, "--prompt", "Is water wet?", "--max-tokens", "12");
  expect(theirs).toEqual(ours);
});

test("an answer that is stopped comes as it is, and the model answers on", async () => {
  const before = await readdir(tmpdir());
  const engine = await createEngine({ ...TORCH, python, device: "cpu", compute: "float32" });
  const model = await engine.open(MISTRAL);
  const options = { maxTokens: 400, stopIds: [], temperature: 0, topP: 1, topK: 0, seed: "s" };
  const prompt = Int32Array.of(1, 5, 9);
  const stop = new AbortController();
  const heard: number[] = [];
  const [part] = await model.generate([prompt], { ...options, signal: stop.signal }, (_, id) => {
    heard.push(id);
    if (heard.length === 3) stop.abort();
  });
  expect(part!.length).toBeGreaterThanOrEqual(3);
  expect(part!.length).toBeLessThan(400);
  expect(heard).toEqual([...part!]);
  const [whole] = await model.generate([prompt], { ...options, maxTokens: part!.length });
  expect(whole).toEqual(part);
  await model.dispose();
  await engine.dispose();
  const left = (await readdir(tmpdir())).filter((name) => name.startsWith("fusechat-torch-") && !before.includes(name));
  expect(left).toEqual([]);
});

test("work by hand asks no questions", async () => {
  const { code, stderr } = await fusechat("chat", MISTRAL, "--prompt", "Hello", ...FLAGS, "--launch", "manual");
  expect([code, stderr]).toEqual([
    2,
    "launch: manual: what evaluates or chats asks for one small job after another, and each would have to be started by hand; choose local, or a command\n",
  ]);
});
