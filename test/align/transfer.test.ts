import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSparseMapBuilder, oneToOne, type SparseMap } from "#src/align/sparse-map.js";
import { createTransfer, type Transfer } from "#src/align/transfer.js";
import { halfToNumber, numberToHalf } from "#src/formats/float.js";
import { createRandom } from "#src/random.js";

const PIVOTS = 40;

function transferred(
  transfer: Transfer,
  width: number,
  sources: readonly number[],
  logp: readonly number[],
): [number, number][] {
  const id = new Uint16Array(width + 2).fill(9);
  const out = new Uint16Array(width + 2).fill(9);
  transfer.row(Int32Array.from(sources), Uint16Array.from([0, ...logp.map(numberToHalf)]), 1, id, out, 1);
  expect([id[0], out[0], id[width + 1], out[width + 1]]).toEqual([9, 9, 9, 9]);
  return Array.from({ length: width }, (_, k) => [id[k + 1]!, halfToNumber(out[k + 1]!)]);
}

function sharedMap(rows: readonly (readonly [number, number])[][]): SparseMap {
  const builder = createSparseMapBuilder();
  for (const row of rows) {
    for (const [pivot, share] of row) builder.place(pivot, share);
    builder.next();
  }
  return builder.build();
}

describe("the transfer of a row", () => {
  test("keeps stored values as they are where nothing meets, drops what has no place and fills up with -inf", () => {
    const transfer = createTransfer(oneToOne(Int32Array.of(7, -1, 3)), PIVOTS, 4);
    expect(transferred(transfer, 4, [0, 1, 2, -1], [-0.5, -1.5, -2.7, -4])).toEqual([
      [7, -0.5],
      [3, halfToNumber(numberToHalf(-2.7))],
      [0, -Infinity],
      [0, -Infinity],
    ]);
    expect(transfer.totals.emptyRows).toBe(0);
  });

  test("adds masses that meet, and puts the sum where it belongs", () => {
    const transfer = createTransfer(oneToOne(Int32Array.of(5, 9, 9)), PIVOTS, 2);
    const [first, second] = transferred(transfer, 2, [0, 1, 2], [Math.log(0.375), Math.log(0.25), Math.log(0.25)]);
    expect(first![0]).toBe(9);
    expect(Math.exp(first![1])).toBeCloseTo(0.5, 3);
    expect(second).toEqual([5, halfToNumber(numberToHalf(Math.log(0.375)))]);
  });

  test("divides a mass by its shares", () => {
    const transfer = createTransfer(
      sharedMap([
        [
          [4, 0.75],
          [2, 0.25],
        ],
      ]),
      PIVOTS,
      2,
    );
    expect(transferred(transfer, 2, [0], [-1])).toEqual([
      [4, halfToNumber(numberToHalf(-1 + Math.log(0.75)))],
      [2, halfToNumber(numberToHalf(-1 + Math.log(0.25)))],
    ]);
  });

  test("breaks ties to the lower id, at the cut too, and accounts for what it cuts", () => {
    const transfer = createTransfer(oneToOne(Int32Array.of(30, 20, 10, 5)), PIVOTS, 2);
    expect(transferred(transfer, 2, [0, 1, 2, 3], [-2, -2, -2, -3])).toEqual([
      [10, -2],
      [20, -2],
    ]);
    const { stored, placed, cut } = transfer.totals;
    expect(stored).toBeCloseTo(3 * Math.exp(-2) + Math.exp(-3), 12);
    expect(placed).toBeCloseTo(stored, 12);
    expect(cut).toBeCloseTo(Math.exp(-2) + Math.exp(-3), 12);
  });

  test("of nothing that has a place is empty and counted", () => {
    const transfer = createTransfer(oneToOne(Int32Array.of(-1)), PIVOTS, 2);
    expect(transferred(transfer, 2, [0, 0], [-1, -Infinity])).toEqual([
      [0, -Infinity],
      [0, -Infinity],
    ]);
    expect(transfer.totals).toMatchObject({ emptyRows: 1, placed: 0, cut: 0 });
  });

  test("never gives a probability above one, though sums round", () => {
    const transfer = createTransfer(oneToOne(Int32Array.of(1, 1)), PIVOTS, 1);
    expect(transferred(transfer, 1, [0, 1], [-0.0004, -7.8])).toEqual([[1, 0]]);
  });
});

/** Random maps and rows: shares that add up to one or none, top-K descending with a sum of at most one. */
const cases = fc.record({
  seed: fc.integer(),
  topK: fc.integer({ min: 1, max: 24 }),
  width: fc.integer({ min: 1, max: 30 }),
});

function randomCase(seed: number, topK: number): { map: SparseMap; sources: number[]; logp: number[] } {
  const random = createRandom(`transfer/${seed}`);
  const rows = Array.from({ length: 30 }, (): [number, number][] => {
    const ids = random.shuffle(Array.from({ length: PIVOTS }, (_, id) => id)).slice(0, random.integer(4));
    const weights = ids.map(() => 1 + random.integer(5));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return ids.map((id, i) => [id, weights[i]! / total]);
  });
  const sources = random.shuffle(Array.from({ length: 30 }, (_, n) => n)).slice(0, topK);
  const masses = Array.from({ length: topK }, () => random.next());
  const total = masses.reduce((sum, mass) => sum + mass, 0) * (1 + random.next());
  const logp = masses.map((mass) => Math.log(mass / total)).sort((a, b) => b - a);
  return { map: sharedMap(rows), sources, logp };
}

describe("for any map and any row", () => {
  test("the result is that of a plain table of sums, sorted and cut", () => {
    fc.assert(
      fc.property(cases, ({ seed, topK, width }) => {
        const { map, sources, logp } = randomCase(seed, topK);
        const sums = new Map<number, number>();
        sources.forEach((source, k) => {
          const mass = Math.exp(halfToNumber(numberToHalf(logp[k]!)));
          for (let e = map.start[source]!; e < map.start[source + 1]!; e++) {
            sums.set(map.pivot[e]!, (sums.get(map.pivot[e]!) ?? 0) + mass * map.share[e]!);
          }
        });
        const expected = [...sums].sort(([a, x], [b, y]) => y - x || a - b).slice(0, width);
        const result = transferred(createTransfer(map, PIVOTS, width), width, sources, logp);
        result.forEach(([id, value], k) => {
          const [expectedId, mass] = expected[k] ?? [0, 0];
          expect(id).toBe(expectedId);
          // Half a step of float16 at values down to -16.
          if (mass > 0) expect(Math.abs(value - Math.log(mass))).toBeLessThan(2 ** -8);
          else expect(value).toBe(-Infinity);
        });
      }),
    );
  });

  test("stored mass is placed mass and lost mass, and placed mass is written or cut", () => {
    fc.assert(
      fc.property(cases, ({ seed, topK, width }) => {
        const { map, sources, logp } = randomCase(seed, topK);
        const transfer = createTransfer(map, PIVOTS, width);
        const written = transferred(transfer, width, sources, logp).reduce(
          (sum, [, value]) => sum + Math.exp(value),
          0,
        );
        const masses = logp.map((value) => Math.exp(halfToNumber(numberToHalf(value))));
        const hasPlace = (source: number): boolean => map.start[source + 1]! > map.start[source]!;
        const lost = masses.filter((_, k) => !hasPlace(sources[k]!)).reduce((sum, mass) => sum + mass, 0);
        const { stored, placed, cut } = transfer.totals;
        expect(placed + lost).toBeCloseTo(stored, 12);
        // What is written is rounded to float16: 0.4 % at most.
        expect(Math.abs(written - (placed - cut))).toBeLessThan(0.004);
      }),
    );
  });
});
