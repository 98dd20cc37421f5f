import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AlignedShard } from "#src/align/shard.js";
import { readAlignedShard, writeAlignedShard } from "#src/align/shard-file.js";
import { numberToHalf } from "#src/formats/float.js";
import { readSafetensors } from "#src/formats/safetensors.js";

const golden = resolve(import.meta.dirname, "../golden/pipeline");
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-aligned-"));
});
afterAll(() => rm(folder, { recursive: true }));

const halves = (...values: number[]): Uint16Array => Uint16Array.from(values, numberToHalf);

/** Two conversations, the second unknown to the source; W = 2. */
function small(): AlignedShard {
  return {
    metadata: { pivot: "p", source: "s", sequence: "bytes", vocabulary: "split" },
    conversation: Int32Array.of(2, 5),
    rowStart: Float64Array.of(0, 2, 3),
    sourceRow: Int32Array.of(0, 2, -1),
    topId: Uint16Array.of(4, 1, 3, 0, 0, 0),
    topLogp: halves(-0.5, -1, -0.25, -Infinity, -Infinity, -Infinity),
    pivotNats: Float32Array.of(3.5, 2),
    sourceNats: Float32Array.of(4.5, 0),
    pivotBytes: Int32Array.of(7, 4),
    sourceBytes: Int32Array.of(7, 0),
  };
}

describe("an aligned shard", () => {
  test("comes back from a file as it was", async () => {
    const path = join(folder, "whole.safetensors");
    await writeAlignedShard(path, small());
    expect(await readAlignedShard(path)).toEqual(small());
    expect((await readSafetensors(path)).metadata).toEqual({
      format: "fusechat-aligned-1",
      pivot: "p",
      source: "s",
      sequence: "bytes",
      vocabulary: "split",
    });
  });

  test("of another program is read: the golden one", async () => {
    const shard = await readAlignedShard(join(golden, "aligned/gemma2/shard-00000.safetensors"), 479);
    expect(Array.from(shard.sourceBytes)).toEqual([4, 72, 56, 96, 0, 58, 104, 10]);
    expect(shard.sourceRow.filter((row) => row >= 0)).toHaveLength(309);
  });

  const broken: [string, Partial<AlignedShard>, string][] = [
    [
      "a source row below -1",
      { sourceRow: Int32Array.of(0, -2, -1) },
      '"source_row": expected at least -1, row 1 has -2',
    ],
    [
      "a distribution without a source row",
      { sourceRow: Int32Array.of(0, -1, -1) },
      '"top_logp": row 1 has a distribution, but no row of the source',
    ],
    [
      "an id in an unused place",
      { topId: Uint16Array.of(4, 1, 3, 9, 0, 0) },
      '"top_id": expected 0 in unused places, row 1 has 9',
    ],
    [
      "an id beyond the pivot's head",
      { topId: Uint16Array.of(4, 6, 3, 0, 0, 0) },
      '"top_id": row 0 has id 6, the vocabulary ends at 5',
    ],
    ["an id twice", { topId: Uint16Array.of(4, 4, 3, 0, 0, 0) }, '"top_id": row 0 has id 4 twice'],
    [
      "NaN nats",
      { pivotNats: Float32Array.of(NaN, 2) },
      '"pivot_nats": expected numbers of at least 0, found NaN at 0',
    ],
    [
      "negative bytes",
      { sourceBytes: Int32Array.of(7, -1) },
      '"source_bytes": expected numbers of at least 0, found -1 at 1',
    ],
    ["rows that are missing", { rowStart: Float64Array.of(0, 2, 2) }, '"row_start": expected 3 at its end'],
    [
      "probabilities above one",
      { topLogp: halves(-0.1, -0.5, -0.25, -Infinity, -Infinity, -Infinity) },
      '"top_logp": the probabilities of row 0 add up to 1.511, more than one',
    ],
  ];
  test.each(broken)("with %s is refused by file and tensor", async (name, change, message) => {
    const path = join(folder, `${name}.safetensors`);
    await writeAlignedShard(path, { ...small(), ...change });
    await expect(readAlignedShard(path, 6)).rejects.toThrow(`${path}: tensor ${message}`);
  });

  test("with ids that no vocabulary has is refused before anything is made for them", async () => {
    const path = join(folder, "wide.safetensors");
    await writeAlignedShard(path, { ...small(), topId: Uint32Array.of(0xffff_fffe, 1, 3, 0, 0, 0) });
    await expect(readAlignedShard(path)).rejects.toMatchObject({
      message: `${path}: tensor "top_id": row 0 has id 4294967294, the vocabulary ends at 4194304`,
      exitCode: 2,
    });
  });

  test("is not mistaken for a shard of distributions", async () => {
    const path = join(golden, "distributions/qwen2/shard-00000.safetensors");
    await expect(readAlignedShard(path)).rejects.toThrow(
      `${path}: expected a shard of format "fusechat-aligned-1", found "fusechat-distributions-2"`,
    );
  });
});
