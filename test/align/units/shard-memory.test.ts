import { expect, test } from "vitest";
import { createShardMemory } from "#src/align/units/shard-memory.js";

test("the memory of a name is used again, and grows where it must", () => {
  const memory = createShardMemory();
  const first = memory("token", 100);
  const smaller = memory("token", 40);
  expect([first.length, smaller.length, smaller.buffer === first.buffer]).toEqual([100, 40, true]);
  const larger = memory("token", 200);
  expect([larger.length, larger.buffer === first.buffer]).toEqual([200, false]);
  expect(memory("lead", 100).buffer).not.toBe(larger.buffer);
});
