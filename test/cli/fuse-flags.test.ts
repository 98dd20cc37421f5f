import { expect, test } from "vitest";
import { runCommandLine } from "#src/cli/program.js";
import { loadVerbs } from "#src/cli/verbs.js";
import { memoryStreams } from "./memory-streams.ts";

async function fuse(...flags: string[]): Promise<{ exitCode: number; error: string }> {
  const streams = memoryStreams({});
  const all = ["fuse", "--model", "m", "--data", "d", "--out", "o", ...flags];
  const exitCode = await runCommandLine(all, streams, new AbortController().signal, await loadVerbs("fuse"));
  return { exitCode, error: streams.stderr.text };
}

test("what says how adapters are trained needs their rank", async () => {
  expect(await fuse("--lora-alpha", "8")).toEqual({
    exitCode: 2,
    error: "--lora-alpha: says how adapters are trained; add --lora-rank, or leave it out\n",
  });
});

test("adapters need PyTorch", async () => {
  const { exitCode, error } = await fuse("--lora-rank", "8");
  expect(exitCode).toBe(2);
  expect(error).toMatch(/^--lora-rank: low-rank adapters are trained by PyTorch alone; choose engine: torch/);
});
