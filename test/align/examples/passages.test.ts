/** What alignment.json shows of responses and of mass, against the golden pipeline's shards and conversations. */
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AlignOptions, alignDistributions } from "#src/align/align.js";
import type { Passage } from "#src/align/examples/passages.js";
import { type AlignmentSummary, alignmentFigures } from "#src/align/report.js";
import type { AlignedShard } from "#src/align/shard.js";
import { readAlignedShard } from "#src/align/shard-file.js";
import type { DistributionsShard } from "#src/distributions/shard.js";
import { readDistributionsShard, writeDistributionsShard } from "#src/distributions/shard-file.js";
import { halfToNumber } from "#src/formats/float.js";
import { silent } from "#src/reporter.js";

const golden = resolve(import.meta.dirname, "../../golden");
const SHARD = "shard-00000.safetensors";
/** Probabilities are told to six digits and stored as float16 logarithms. */
const HALF = 2e-3;

let root: string;
let pivot: DistributionsShard;
let source: DistributionsShard;
let contents: Uint8Array[][];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-passages-"));
  pivot = await readDistributionsShard(join(golden, "pipeline/distributions/mistral", SHARD));
  source = await readDistributionsShard(join(golden, "pipeline/distributions/qwen2", SHARD));
  const lines = (await readFile(join(golden, "pipeline/conversations.jsonl"), "utf8")).trim().split("\n");
  contents = lines.map((line) =>
    (JSON.parse(line) as { turns: { content: string }[] }).turns.map(({ content }) => Buffer.from(content)),
  );
});
afterAll(() => rm(root, { recursive: true }));

async function align(
  name: string,
  changes: Partial<AlignOptions> = {},
): Promise<{ summary: AlignmentSummary; shard: AlignedShard }> {
  const out = join(root, name);
  const summary = await alignDistributions(
    {
      pivot: join(golden, "pipeline/distributions/mistral"),
      source: join(golden, "pipeline/distributions/qwen2"),
      out,
      vocabulary: "split",
      sequence: "bytes",
      pivotModel: join(golden, "models/mistral"),
      sourceModel: join(golden, "models/qwen2"),
      ...changes,
    },
    { reporter: silent },
  );
  return { summary, shard: await readAlignedShard(join(out, SHARD), 479) };
}

/** The pivot's row that begins at a byte of a turn, an empty one or not. */
function rowAt(conversation: number, turn: number, { byte_start, byte_end, token }: Passage["pivot"][number]): number {
  for (let row = pivot.rowStart[conversation]!; row < pivot.rowStart[conversation + 1]!; row++) {
    const here = pivot.turn[row] === turn && pivot.byteStart[row] === byte_start && pivot.byteEnd[row] === byte_end;
    if (here && pivot.token[row] === token) return row;
  }
  throw new Error(`conversation ${conversation}, turn ${turn} has no row at byte ${byte_start}`);
}

function probability(ids: ArrayLike<number>, logp: Uint16Array, row: number, width: number, id: number): number {
  for (let k = row * width; k < (row + 1) * width; k++) if (ids[k] === id) return Math.exp(halfToNumber(logp[k]!));
  return 0;
}

/** Checks all that passages say of rows with the shards. */
function checkPassages({ summary, shard }: { summary: AlignmentSummary; shard: AlignedShard }): void {
  expect(summary.passages).toHaveLength(3);
  for (const { conversation, turn, text, ...passage } of summary.passages) {
    const sharedPivot = new Set(passage.shared.map((row) => row.pivot));
    for (const [index, token] of passage.pivot.entries()) {
      const row = rowAt(conversation, turn, token);
      expect(sharedPivot.has(index)).toBe(shard.sourceRow[row] !== -1);
    }
    const [from, to] = [passage.pivot[0]!.byte_start, passage.pivot.at(-1)!.byte_end];
    const bytes = contents[conversation]![turn]!.subarray(from, to);
    expect(text).toBe(new TextDecoder().decode(bytes));
    for (const row of passage.shared) {
      const here = rowAt(conversation, turn, passage.pivot[row.pivot]!);
      const there = source.rowStart[conversation]! + shard.sourceRow[here]!;
      expect(passage.source[row.source]).toMatchObject({
        token: source.token[there],
        byte_start: source.byteStart[there],
        byte_end: source.byteEnd[there],
      });
      expect(row.went).toHaveLength(5);
      for (const [rank, went] of row.went.entries()) {
        expect(went.token).toBe(source.topId[there * 10 + rank]);
        expect(went.probability).toBeCloseTo(Math.exp(halfToNumber(source.topLogp[there * 10 + rank]!)), 6);
        for (const place of went.places) {
          const mapped = probability(shard.topId, shard.topLogp, here, 20, place.token);
          expect(place.probability).toBeLessThanOrEqual(mapped + HALF);
        }
      }
    }
  }
}

describe("passages", () => {
  test("lie over the text of the conversations, and tell of every row what the shards hold", async () => {
    const aligned = await align("split");
    checkPassages(aligned);
    const [, second] = aligned.summary.passages;
    expect(second).toMatchObject({ conversation: 4, turn: 4, text: "That makes 84." });
    expect(second!.pivot.map(({ text }) => text).join("")).toBe("That makes 84.<|end_of_turn|>");
    expect(second!.source.map(({ text }) => text).join("")).toBe("That makes 84.<|im_end|>");
    expect(second!.shared).toHaveLength(11);
    // The end of turn goes to the end of turn.
    expect(second!.shared[4]!.went[1]).toMatchObject({
      text: "<|im_end|>",
      probability: 0.084856,
      places: [{ text: "<|end_of_turn|>", probability: 0.084856 }],
    });
  });

  test("tell of a token of the head that no token has that its mass has no place", async () => {
    const { summary } = await align("no-token");
    const went = summary.passages.flatMap(({ shared }) => shared.flatMap((row) => row.went));
    const padding = went.filter(({ text }) => text === "<no token 409>");
    expect(padding.length).toBeGreaterThan(0);
    for (const { places } of padding) expect(places).toEqual([]);
  });

  test("follow the division", async () => {
    checkPassages(await align("divided", { divide: "pivot" }));
  });

  test("follow the label mass: a source that spells a character byte by byte gives the pivot's token their product", async () => {
    // Every row of the source says its label with the probability exp(-1/4), and nothing else.
    const sure = { ...source, topId: source.topId.slice(), topLogp: source.topLogp.slice() };
    sure.labelLogp = source.labelLogp.map(() => -0.25);
    for (const [row, label] of source.token.entries()) {
      sure.topId.fill(0, 10 * row, 10 * row + 10)[10 * row] = label;
      sure.topLogp.fill(0xfc00, 10 * row, 10 * row + 10)[10 * row] = 0xb400;
    }
    const folder = join(root, "sure");
    await mkdir(folder);
    await writeDistributionsShard(join(folder, SHARD), sure);
    const { summary } = await align("chain", { source: folder, labelMass: "chain" });
    const { shared, pivot: labels } = summary.passages[0]!;
    const [row] = shared.filter((one) => labels[one.pivot]!.text === "我");
    const [went] = row!.went;
    expect(row!.went).toHaveLength(1);
    expect(went).toMatchObject({ text: "<0xE6>", probability: 0.778801 });
    expect(went!.places.map(({ text }) => text)).toEqual(["我", "<0xE6>"]);
    expect(went!.places[0]!.probability).toBe(0.472367);
    expect(Math.abs(went!.places[1]!.probability - (0.778801 - 0.472367))).toBeLessThan(HALF);
  });
});

describe("the mass that the map sends", () => {
  test("goes to the same bytes, to others, or to the end of turn, and adds up to what is kept", async () => {
    const { summary } = await align("destinations");
    const { mass_to_equal_bytes, mass_to_other_bytes, mass_to_end_of_turn } = summary;
    expect(mass_to_equal_bytes).toBeCloseTo(0.5261043620696718, 12);
    expect(mass_to_other_bytes).toBeCloseTo(0.0583479172012465, 12);
    expect(mass_to_end_of_turn).toBeCloseTo(0.0005998716980617079, 12);
    expect(mass_to_equal_bytes + mass_to_other_bytes + mass_to_end_of_turn).toBeCloseTo(
      summary.strategies.split!.mass_kept,
      12,
    );
  });

  test("of a token is the sum of what the shared rows store for it", async () => {
    const { summary, shard } = await align("pairs");
    expect(summary.mapped_pairs).toHaveLength(30);
    expect(summary.mapped_pairs[0]).toMatchObject({ token: 307, text: "ct", places: [{ token: 425, text: "c" }] });
    let mass = 0;
    for (let n = 0; n < shard.conversation.length; n++) {
      for (let row = shard.rowStart[n]!; row < shard.rowStart[n + 1]!; row++) {
        if (shard.sourceRow[row] === -1 || pivot.lead[row] !== 0) continue;
        const there = source.rowStart[n]! + shard.sourceRow[row]!;
        mass += probability(source.topId, source.topLogp, there, 10, 307);
      }
    }
    expect(summary.mapped_pairs[0]!.mass).toBeCloseTo(mass / summary.shared_rows, 12);
    const moved = summary.mapped_pairs.map((pair) => pair.mass_moved);
    expect(moved).toEqual(moved.toSorted((a, b) => b - a));
    for (const { mass: whole, mass_moved, places, further_places } of summary.mapped_pairs) {
      expect(mass_moved).toBeLessThanOrEqual(whole);
      const sum = places.reduce((total, place) => total + place.mass, 0);
      if (places.length > 0 && further_places === 0) expect(sum).toBeCloseTo(whole, 12);
    }
  });

  test("is all of the same bytes or without a place by exact", async () => {
    const { summary } = await align("exact", { vocabulary: "exact" });
    expect(summary.mass_to_other_bytes).toBe(0);
    for (const { places } of summary.mapped_pairs) expect(places).toEqual([]);
  });

  test("is told apart from the figures alone", async () => {
    const { summary } = await align("figures");
    const figures = alignmentFigures(summary);
    for (const key of ["examples", "passages", "mapped_pairs"]) expect(figures).not.toHaveProperty(key);
    expect(figures).toMatchObject({ shared_rows: 345, vocabulary: "split" });
  });
});
