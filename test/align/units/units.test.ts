import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createUnitReader, listUnits } from "#src/align/units/units.js";
import { readVocabulary } from "#src/align/vocabulary.js";
import { shardName } from "#src/distributions/folder.js";
import type { DistributionsShard } from "#src/distributions/shard.js";
import { writeDistributionsShard } from "#src/distributions/shard-file.js";
import { certain, textShard } from "../text-shards.ts";
import { toyTokenizer } from "../toy-tokenizer.ts";

const tokenizer = toyTokenizer(["a", "b", "c"]);
const vocabulary = readVocabulary(tokenizer, 3);
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-units-"));
});
afterAll(() => rm(root, { recursive: true }));

/** A folder whose shards have these conversations, each a text of one letter. */
async function folderOf(
  name: string,
  shards: readonly (readonly number[])[],
  change: (shard: DistributionsShard, index: number) => DistributionsShard = (shard) => shard,
): Promise<string> {
  const folder = join(root, name);
  for (const [index, conversations] of shards.entries()) {
    const letters = conversations.map((n) => "abc"[n % 3]!);
    const shard = await textShard(tokenizer, letters, { model: "toy", vocabulary: 3, topK: 1 }, certain);
    const numbered = { ...shard, conversation: Int32Array.from(conversations) };
    await writeDistributionsShard(join(folder, shardName(index)), change(numbered, index));
  }
  return folder;
}

describe("units", () => {
  test("have the source's shards of the pivot's range, and find every conversation that both have", async () => {
    const pivot = await folderOf("pivot", [[0, 1, 2], [], [4, 5], [9, 12]]);
    const source = await folderOf("source", [[1], [2, 3, 4], [6, 7], [], [11, 12, 20]]);
    const units = await listUnits(pivot, source);
    const numbers = units.map(({ sources }) => sources.map((path) => Number(path.match(/shard-(\d+)/)![1])));
    expect(numbers).toEqual([[0, 1], [], [1], [4]]);

    const reader = createUnitReader(vocabulary, vocabulary);
    const found: [number, number | undefined][] = [];
    for (const unit of units) {
      const { pivot: side, find } = await reader.open(unit);
      for (const n of side.shard.conversation) {
        const part = await find(n);
        found.push([n, part?.side.shard.token[part.from]]);
      }
    }
    expect(found).toEqual([
      [0, undefined],
      [1, 1],
      [2, 2],
      [4, 1],
      [5, undefined],
      [9, undefined],
      [12, 0],
    ]);
  });

  test("may be opened in any order", async () => {
    const folder = await folderOf("any", [[0, 1], [2], [3]]);
    const source = await folderOf("any-source", [[0, 1, 2, 3]]);
    const units = await listUnits(folder, source);
    const reader = createUnitReader(vocabulary, vocabulary);
    for (const index of [2, 0, 1]) {
      const { pivot, find } = await reader.open(units[index]!);
      for (const n of pivot.shard.conversation) expect((await find(n))!.index).toBe(n);
    }
  });

  test("use their memory again, but for a source's shard that the next needs", async () => {
    const many = Array.from({ length: 70_000 }, (_, n) => n);
    const pivot = await folderOf("large", [many, [70_000], [70_001]]);
    const source = await folderOf("large-source", [many, [70_000, 70_001]]);
    const units = await listUnits(pivot, source);
    const reader = createUnitReader(vocabulary, vocabulary);
    const first = await reader.open(units[0]!);
    const there = (await first.find(69_999))!;
    const memory = [first.pivot.shard.token.buffer, there.side.shard.token.buffer];
    expect([first.pivot.shard.token.length, there.side.shard.token.length]).toEqual([70_000, 70_000]);
    const second = await reader.open(units[1]!);
    expect(second.pivot.shard.token.buffer).toBe(memory[0]);
    expect((await second.find(70_000))!.side.shard.token.buffer).toBe(memory[1]);
    const kept = (await second.find(70_000))!.side;
    expect((await (await reader.open(units[2]!)).find(70_001))!.side).toBe(kept);
  });

  test("are refused where shards of a folder are of different models, or out of order", async () => {
    const good = await folderOf("good", [[0], [1]]);
    const mixed = await folderOf("mixed", [[0], [1]], (shard, index) =>
      index === 0 ? shard : { ...shard, metadata: { ...shard.metadata, tokenizerSha256: "other" } },
    );
    await expect(listUnits(good, mixed)).rejects.toThrow(
      `${join(mixed, shardName(1))}: its tokenizer_sha256 is "other", that of ${join(mixed, shardName(0))} is "toy"`,
    );
    const backwards = await folderOf("backwards", [[3], [1]]);
    await expect(listUnits(backwards, good)).rejects.toThrow(
      `${join(backwards, shardName(1))}: begins with conversation 1, the shard before ends with 3`,
    );
  });
});
