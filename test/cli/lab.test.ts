import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { labVerb } from "#src/cli/lab.js";
import { runCommandLine } from "#src/cli/program.js";
import { memoryStreams } from "./memory-streams.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-cli-lab-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(...arguments_: string[]) {
  const streams = memoryStreams();
  const exitCode = await runCommandLine(["lab", ...arguments_], streams, new AbortController().signal, [labVerb]);
  return { exitCode, stdout: streams.stdout.text, stderr: streams.stderr.text };
}

test("a step of a real model writes a whole model folder, and a second call leaves it alone", async () => {
  const arguments_ = ["train", "--out", folder, "--model", "lab-qwen2", "--steps", "1", "--batch", "2"];
  const first = await run(...arguments_);
  expect(first.exitCode).toBe(0);
  expect(first.stdout).toMatch(/lab-qwen2: 1 steps, loss \d\.\d{4} nats per token at the end/);
  expect((await readdir(join(folder, "lab-qwen2"))).sort()).toEqual([
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.json",
  ]);
  const second = await run(...arguments_);
  expect(second.exitCode).toBe(0);
  expect(second.stdout).toContain("already finished with these settings");
});

test("an unknown model is refused with the names there are", async () => {
  const { exitCode, stderr } = await run("train", "--out", folder, "--model", "lab-qwen3");
  expect(exitCode).toBe(2);
  expect(stderr).toContain(
    "Allowed choices are lab-mistral, lab-starling, lab-llama, lab-internlm2, lab-mixtral, lab-qwen2",
  );
});

test("steps must be a whole number of at least one", async () => {
  const { exitCode, stderr } = await run("train", "--out", folder, "--steps", "0");
  expect(exitCode).toBe(2);
  expect(stderr).toContain("Expected at least 1");
});
