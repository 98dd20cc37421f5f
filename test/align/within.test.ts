/** A source that says ` 58`, ` 51` and ` 61` in one token each, and a pivot that writes a space and digits. */
import { describe, expect, test } from "vitest";
import { alignPart } from "#src/align/align-part.js";
import { createLeadSwaps } from "#src/align/leads.js";
import { type Part, part, type Side } from "#src/align/paired-conversations.js";
import type { PartPlan } from "#src/align/part-plan.js";
import { rowSpans } from "#src/align/sequence.js";
import { bytes as byBytes } from "#src/align/sequences/bytes.js";
import { oneToOne } from "#src/align/sparse-map.js";
import { createTransfer } from "#src/align/transfer.js";
import { readVocabulary, type Vocabulary } from "#src/align/vocabulary.js";
import { findWithin } from "#src/align/within/within.js";
import type { DistributionsShard } from "#src/distributions/shard.js";
import { halfToNumber, numberToHalf } from "#src/formats/float.js";
import type { Tokenizer } from "#src/tokenizer/tokenizer.js";
import { certain, textShard } from "./text-shards.ts";
import { toyTokenizer } from "./toy-tokenizer.ts";

const digits = toyTokenizer([" ", "5", "6", "8", "1"]);
const numbers = toyTokenizer([" 58", " 51", " 61", " ", "58"]);
const [FIVE, SIX, EIGHT, ONE] = [1, 2, 3, 4];
const pivotVocabulary = readVocabulary(digits, 5);
const sourceVocabulary = readVocabulary(numbers, 5);
/** What is left of the source's tokens after ` ` and after ` 5`, and where it goes. */
const TEXTS = ["58", "51", "61", "8", "1"].map((text) => new TextEncoder().encode(text));
const MAP = oneToOne(Int32Array.of(0, 0, 0, 0, -1, FIVE, FIVE, SIX, EIGHT, ONE));

async function side(tokenizer: Tokenizer, vocabulary: Vocabulary, topK: number): Promise<Side> {
  const settings = { model: "toy", vocabulary: 5, topK };
  const shard = await textShard(tokenizer, [" 58"], settings, topK === 1 ? certain : () => ({ id: [], logp: [] }));
  return { path: "shard", shard, spans: rowSpans(shard, vocabulary) };
}

/** The source's one row stores these tokens; its label is ` 58`. */
async function source(stored: readonly [id: number, probability: number][], changes = {}): Promise<Part> {
  const { shard, ...rest } = await side(numbers, sourceVocabulary, stored.length);
  const whole: DistributionsShard = {
    ...shard,
    labelLogp: Float32Array.of(Math.log(0.4)),
    topId: Uint16Array.from(stored, ([id]) => id),
    topLogp: Uint16Array.from(stored, ([, probability]) => numberToHalf(Math.log(probability))),
    metadata: { ...shard.metadata, ...changes },
  };
  return part({ ...rest, shard: whole }, 0);
}

/** Of every row of the pivot the source's row that it lies in, and its distribution by token. */
async function aligned(theirs: Part, changes: Partial<PartPlan> = {}) {
  const ours = part(await side(digits, pivotVocabulary, 1), 0);
  const width = 4;
  const swaps = createLeadSwaps(pivotVocabulary, sourceVocabulary, TEXTS);
  const plan: PartPlan = {
    ...{ sequence: byBytes, swaps, sourceVocabulary, map: MAP, width, labelMass: "chain" },
    ...{ preference: null, spaces: null },
    ...changes,
  };
  const rows = {
    sourceRow: new Int32Array(3),
    withinRow: new Int32Array(3),
    topId: new Uint16Array(3 * width),
    topLogp: new Uint16Array(3 * width),
  };
  const transfers = { shared: createTransfer(MAP, 5, width), within: createTransfer(MAP, 5, width) };
  const shared = alignPart(plan, transfers, rows, ours, theirs);
  const distribution = (row: number): Map<number, number> => {
    const found = new Map<number, number>();
    for (let k = row * width; k < (row + 1) * width; k++) {
      const probability = Math.exp(halfToNumber(rows.topLogp[k]!));
      if (probability > 0) found.set(rows.topId[k]!, probability);
    }
    return found;
  };
  return { shared, ...rows, distribution, texts: swaps.texts };
}

/** Half precision keeps a probability to a part in a thousand. */
function expectRow(found: Map<number, number>, expected: readonly [number, number][]): void {
  expect([...found.keys()].sort()).toEqual(expected.map(([id]) => id).sort());
  for (const [id, probability] of expected) expect(found.get(id)).toBeCloseTo(probability, 3);
}

const STORED: [number, number][] = [
  [0, 0.4],
  [1, 0.2],
  [3, 0.15],
  [2, 0.1],
];

describe("rows that begin within a token of the source", () => {
  test("have its distribution given what was read: tokens that do not begin with it, or end there, are left out", async () => {
    const { shared, sourceRow, withinRow, distribution, texts } = await aligned(await source(STORED));
    expect(shared).toBe(1);
    expect([...sourceRow]).toEqual([0, -1, -1]);
    expect([...withinRow]).toEqual([-1, 0, 0]);
    // After the space ` 58`, ` 51` and ` 61` are left, 0.7 together; after ` 5` the first two.
    expectRow(distribution(1), [
      [FIVE, 0.6 / 0.7],
      [SIX, 0.1 / 0.7],
    ]);
    expectRow(distribution(2), [
      [EIGHT, 0.4 / 0.6],
      [ONE, 0.2 / 0.6],
    ]);
    expect(texts).toHaveLength(TEXTS.length);
  });

  test("know of a label that is not stored what its own probability says, and of drawn rows what was drawn", async () => {
    const rest = STORED.slice(1);
    const { distribution } = await aligned(await source(rest));
    expectRow(distribution(2), [
      [EIGHT, 0.4 / 0.6],
      [ONE, 0.2 / 0.6],
    ]);
    const drawn = await aligned(await source(rest, { rows: "sampled" }));
    expectRow(drawn.distribution(2), [[ONE, 1]]);
  });

  test("have nothing where no stored token goes on from there", async () => {
    const { withinRow, distribution } = await aligned(await source([[3, 0.9]], { rows: "sampled" }));
    expect([...withinRow]).toEqual([-1, -1, -1]);
    expect(distribution(1).size + distribution(2).size).toBe(0);
  });
});

test("the rule of another name is unknown", () => {
  expect(() => findWithin("condition")).toThrow(
    'align: unknown rule for rows within a token "condition"; did you mean "conditional"?',
  );
});
