import { describe, expect, test } from "vitest";
import { chainLabel, findLabelMass, type LabelShare, labelTokens } from "#src/align/label-mass.js";
import { oneToOne, type SparseMap } from "#src/align/sparse-map.js";
import { createTransfer } from "#src/align/transfer.js";
import type { DistributionsShard } from "#src/distributions/shard.js";
import { MINUS_INFINITY } from "#src/distributions/shard-columns.js";
import { halfToNumber, numberToHalf } from "#src/formats/float.js";
import { mapOf } from "./maps.ts";

/** Rows of one turn whose labels lie end to end. */
function spans(ends: readonly number[], endOfTurn: readonly number[] = []) {
  return {
    turn: new Uint16Array(ends.length).fill(1),
    byteStart: Int32Array.from(ends, (_, i) => ends[i - 1] ?? 0),
    byteEnd: Int32Array.from(ends),
    endOfTurn: Uint8Array.from(ends, (_, i) => (endOfTurn.includes(i) ? 1 : 0)),
  };
}

function shardOf(
  token: number[],
  labelProbability: number[],
  topId: number[],
  topK: number,
  topLogp = 0x8001,
): DistributionsShard {
  return {
    metadata: { topK },
    token: Uint16Array.from(token),
    labelLogp: Float32Array.from(labelProbability, Math.log),
    topId: Uint16Array.from(topId),
    topLogp: new Uint16Array(topId.length).fill(topLogp),
  } as unknown as DistributionsShard;
}

const empty = (): LabelShare => ({ source: -1, pivot: -1, stored: false, mass: -1, rest: -1 });

describe("the source's tokens that tile the pivot's label", () => {
  // The pivot writes `201` `3`, the source `2` `0` `1` `3`.
  const pivot = spans([3, 4, 4], [2]);
  const source = spans([1, 2, 3, 4, 4], [4]);

  test("are counted up to the byte where the label ends", () => {
    expect(labelTokens(pivot, 0, source, 0, 5)).toBe(3);
    expect(labelTokens(pivot, 1, source, 3, 5)).toBe(1);
  });

  test("are none where the label begins or ends within a token, at an end of turn, and where the rows were cut", () => {
    expect(labelTokens(spans([1, 4]), 0, spans([3, 4]), 0, 2)).toBe(0);
    expect(labelTokens(spans([3]), 0, spans([2, 4]), 0, 2)).toBe(0);
    expect(labelTokens(pivot, 1, source, 2, 5)).toBe(0);
    expect(labelTokens(pivot, 2, source, 4, 5)).toBe(0);
    expect(labelTokens(pivot, 0, source, 0, 2)).toBe(0);
    expect(labelTokens(spans([3]), 0, spans([1, 1], [1]), 0, 2)).toBe(0);
    const nextTurn = { ...spans([1, 3]), turn: Uint16Array.of(1, 3) };
    expect(labelTokens(spans([3]), 0, nextTurn, 0, 2)).toBe(0);
  });

  test("are none for a label without bytes", () => {
    const withEmpty = { ...spans([3, 3, 6]), byteStart: Int32Array.of(0, 3, 3) };
    expect(labelTokens(withEmpty, 1, spans([3, 6]), 1, 2)).toBe(0);
  });
});

/** Source: `2` `0` `1` `3`; pivot: `201` `2` `20` `3`. The corpus has `2` three times before `201` and once before `20`. */
const TWO = 0;
const byCounts = mapOf(
  [
    [0, 0.75],
    [2, 0.25],
  ],
  [],
  [],
  [[3, 1]],
);
const years = shardOf([0, 1, 2], [0.8, 0.9, 0.95], [0, 3, 1, 3, 2, 3], 2);

describe("the chain of a label", () => {
  test("is the product of the source's own probabilities, the rest what its first token has besides", () => {
    const share = empty();
    expect(chainLabel(share, 0, TWO, years, 0, 3, byCounts)).toBe(true);
    expect([share.source, share.pivot]).toEqual([TWO, 0]);
    expect(share.mass).toBeCloseTo(0.8 * 0.9 * 0.95, 6);
    expect(share.rest).toBeCloseTo(0.8 - 0.8 * 0.9 * 0.95, 6);
  });

  test("is what the row stores where the label is one token of the source, and has no rest", () => {
    const share = empty();
    expect(chainLabel(share, 2, TWO, years, 0, 1, byCounts)).toBe(true);
    expect([share.source, share.pivot, share.stored]).toEqual([TWO, 2, true]);
    expect(chainLabel(share, 2, TWO, { ...years, topId: Uint16Array.of(3, 1) }, 0, 1, byCounts)).toBe(true);
    expect(share.stored).toBe(false);
    expect(share.mass).toBeCloseTo(0.8, 6);
    expect(share.rest).toBe(0);
  });

  test("of sampled rows divides what was drawn of the first token, so that no row has more than one", () => {
    const half = numberToHalf(Math.log(0.5));
    const drawn = {
      ...years,
      topLogp: Uint16Array.from(years.topLogp, (_, place) => (place % 2 === 0 ? half : MINUS_INFINITY)),
      metadata: { ...years.metadata, rows: "sampled" },
    } as const;
    const share = empty();
    expect(chainLabel(share, 0, TWO, drawn, 0, 3, byCounts)).toBe(true);
    // Half precision keeps log 0.5 to 2e-4.
    expect(share.mass).toBeCloseTo(0.5 * 0.9 * 0.95, 3);
    expect(share.mass + share.rest).toBeCloseTo(0.5, 3);
    expect(chainLabel(share, 0, TWO, { ...drawn, topId: Uint16Array.of(3, 0, 3, 1, 3, 2) }, 0, 3, byCounts)).toBe(
      false,
    );
  });

  test("is not stored in a place without mass that has its id", () => {
    const share = empty();
    expect(chainLabel(share, 2, TWO, shardOf([0], [0.8], [0], 1, 0xfc00), 0, 1, byCounts)).toBe(true);
    expect(share.stored).toBe(false);
  });

  test("is left to the map where a stored token has that one place, and told where the token is not stored", () => {
    const map = oneToOne(Int32Array.of(1, -1, -1, 3));
    expect(chainLabel(empty(), 1, TWO, years, 0, 1, map)).toBe(false);
    expect(chainLabel(empty(), 0, TWO, years, 0, 1, map)).toBe(true);
    const unseen = { ...years, topId: Uint16Array.of(3, 1) };
    expect(chainLabel(empty(), 1, TWO, unseen, 0, 1, map)).toBe(true);
    // Of sampled rows it has its mass in the draws that hold it; more would be too much in the mean.
    expect(
      chainLabel(empty(), 1, TWO, { ...unseen, metadata: { ...years.metadata, rows: "sampled" } }, 0, 1, map),
    ).toBe(false);
  });
});

/** One row through a transfer, as probabilities by pivot token. */
function transferred(map: SparseMap, sources: number[], masses: number[], label: LabelShare | null) {
  const transfer = createTransfer(map, 4, 4);
  const id = new Uint16Array(4);
  const logp = new Uint16Array(4);
  const stored = Uint16Array.from(masses, (mass) => numberToHalf(Math.log(mass)));
  transfer.row(Int32Array.from(sources), stored, 0, id, logp, 0, label);
  const row = new Map(
    Array.from(id, (token, k) => [token, Math.exp(halfToNumber(logp[k]!))] as const).filter(([, p]) => p > 0),
  );
  return { row, totals: transfer.totals };
}

describe("a pivot that packs 201 into one token, a source that spells it 2 0 1", () => {
  const share = empty();
  chainLabel(share, 0, TWO, years, 0, 3, byCounts);
  const q = 0.8 * 0.9 * 0.95;

  test("with equal bytes alone is told to write the 2 that it never writes there", () => {
    const { row } = transferred(oneToOne(Int32Array.of(1, -1, -1, 3)), [0, 3], [0.8, 0.2], null);
    expect(row.get(0)).toBeUndefined();
    expect(row.get(1)).toBeCloseTo(0.8, 3);
  });

  test("with the chain has exactly what the source gives to 201, and the rest of 2 on its other places", () => {
    const { row, totals } = transferred(byCounts, [0, 3], [0.8, 0.2], share);
    // Float16 logarithms: three digits.
    expect(row.get(0)).toBeCloseTo(q, 3);
    expect(row.get(2)).toBeCloseTo(0.8 - q, 3);
    expect(row.get(3)).toBeCloseTo(0.2, 3);
    expect(row.size).toBe(3);
    expect(totals.stored).toBeCloseTo(1, 3);
    expect(totals.placed).toBeCloseTo(1, 3);
  });

  test("with equal bytes and the chain has the rest of 2 on the 2", () => {
    const { row } = transferred(oneToOne(Int32Array.of(1, -1, -1, 3)), [0, 3], [0.8, 0.2], share);
    expect(row.get(0)).toBeCloseTo(q, 3);
    expect(row.get(1)).toBeCloseTo(0.8 - q, 3);
  });

  test("has all of the 2 on the 20 where that is the label, as it is stored", () => {
    const twenty = { source: TWO, pivot: 2, stored: true, mass: 0, rest: 0 };
    const { row, totals } = transferred(byCounts, [0, 3], [0.8, 0.2], twenty);
    expect([...row]).toEqual([
      [2, Math.exp(halfToNumber(numberToHalf(Math.log(0.8))))],
      [3, Math.exp(halfToNumber(numberToHalf(Math.log(0.2))))],
    ]);
    expect(totals.placed).toBe(totals.stored);
  });

  test("gets the chain also where 2 is not among the stored tokens", () => {
    const rare = empty();
    chainLabel(
      rare,
      0,
      TWO,
      { ...years, labelLogp: years.labelLogp.map((logp, i) => (i === 0 ? Math.log(0.02) : logp)) },
      0,
      3,
      byCounts,
    );
    const { row, totals } = transferred(byCounts, [3], [0.9], rare);
    expect(row.get(0)).toBeCloseTo(0.02 * 0.9 * 0.95, 4);
    expect(row.get(3)).toBeCloseTo(0.9, 3);
    expect(totals.stored).toBeCloseTo(0.92, 3);
  });

  test("loses the rest where 2 has no other place, and counts it as lost", () => {
    const { row, totals } = transferred(oneToOne(Int32Array.of(0, -1, -1, 3)), [0, 3], [0.8, 0.2], share);
    expect(row.get(0)).toBeCloseTo(q, 3);
    expect(row.size).toBe(2);
    expect(totals.stored - totals.placed).toBeCloseTo(0.8 - q, 3);
  });

  test("adds what other tokens of the source bring to the label", () => {
    const map = mapOf(
      [
        [0, 0.75],
        [2, 0.25],
      ],
      [],
      [],
      [[0, 1]],
    );
    const { row } = transferred(map, [0, 3], [0.8, 0.2], share);
    expect(row.get(0)).toBeCloseTo(q + 0.2, 3);
  });
});

test("an unknown way is refused with the ones there are", () => {
  expect(findLabelMass("chain")).toBe("chain");
  expect(() => findLabelMass("path")).toThrow('align: unknown label mass "path"; expected none, chain');
  expect(() => findLabelMass("chains")).toThrow('align: unknown label mass "chains"; did you mean "chain"?');
});
