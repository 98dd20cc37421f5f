import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { alignedBytes, distributionsBytes, modelBytes, trainingDataMemory } from "#src/recipe/estimates.js";
import { GOLDEN, MISTRAL } from "../run/fixtures.ts";

test("a row of ten tokens from a vocabulary of 32,000 takes 57 bytes, within the budget of 64", () => {
  expect(distributionsBytes(1, 10, 32_000)).toBe(57);
});

test("the bytes of shards are those of the golden ones, up to header and conversations", async () => {
  const rows = (await readFile(join(GOLDEN, "pipeline/rows/mistral.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .reduce((sum, line) => sum + JSON.parse(line).position.length, 0);
  const perConversation = 16;
  const shard = await stat(join(GOLDEN, "pipeline/distributions/mistral/shard-00000.safetensors"));
  const overhead = shard.size - distributionsBytes(rows, 10, 512);
  expect(overhead).toBeGreaterThan(8 * perConversation);
  expect(overhead).toBeLessThan(3000);
  const aligned = await stat(join(GOLDEN, "pipeline/aligned/qwen2/shard-00000.safetensors"));
  const alignedOverhead = aligned.size - alignedBytes(rows, 10, 512);
  expect(alignedOverhead).toBeGreaterThan(0);
  expect(alignedOverhead).toBeLessThan(3000);
});

test("a training holds its texts and two shards, however many rows there are", () => {
  const turns = (content: string) => [{ role: "user" as const, content }];
  const memory = (content: string, count: number): number =>
    trainingDataMemory(Array.from({ length: count }, () => ({ id: "", turns: turns(content) })));
  const [none, one, two] = [memory("", 0), memory("a".repeat(3000), 1000), memory("ж".repeat(3000), 1000)];
  expect(two - one).toBe(1.5 * 3e6);
  expect(one - none).toBeGreaterThan(1.5 * 3e6);
  // 95,000 conversations of 2,200 bytes in 30 million rows: bench/fuse-data.mjs measures 530 MB.
  expect(memory("a".repeat(2200), 95_000)).toBeGreaterThan(450e6);
  expect(memory("a".repeat(2200), 95_000)).toBeLessThan(650e6);
});

test("a model takes its parameters times the bytes of its dtype", async () => {
  const { size } = await stat(join(MISTRAL, "model.safetensors"));
  expect(modelBytes(83_088, "float32")).toBe(332_352);
  expect(size - modelBytes(83_088, "float32")).toBeLessThan(4000);
  expect(modelBytes(7e9, "bfloat16")).toBe(14e9);
});
