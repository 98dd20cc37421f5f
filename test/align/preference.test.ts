import { describe, expect, test } from "vitest";
import { createPreference, findDivision } from "#src/align/preference.js";
import { createTransfer } from "#src/align/transfer.js";
import type { DistributionsShard } from "#src/distributions/shard.js";
import { halfToNumber, numberToHalf } from "#src/formats/float.js";
import { mapOf } from "./maps.ts";

const half = (mass: number): number => (mass === 0 ? 0xfc00 : numberToHalf(Math.log(mass)));
const shardOf = (topK: number, topId: number[], masses: number[]): DistributionsShard =>
  ({
    metadata: { topK },
    topId: Uint16Array.from(topId),
    topLogp: Uint16Array.from(masses, half),
  }) as unknown as DistributionsShard;

describe("a preference", () => {
  test("has the pivot's stored probabilities of the present row only, and a tenth of the rest as floor", () => {
    const preference = createPreference(6);
    const shard = shardOf(2, [4, 1, 2, 1], [0.5, 0.25, 0.5, 0.5]);
    preference.read(shard, 0);
    // Float16 logarithms.
    expect(preference.mass[4]).toBeCloseTo(0.5, 3);
    expect(preference.mass[1]).toBeCloseTo(0.25, 3);
    expect(preference.floor).toBeCloseTo(0.025, 4);
    preference.read(shard, 1);
    expect([...preference.mass].map((mass) => Number(mass.toFixed(2)))).toEqual([0, 0.5, 0.5, 0, 0, 0]);
    // Never nothing: the counts break ties.
    expect(preference.floor).toBe(1e-3);
  });

  test("takes unused places for what they are, and rows of another width", () => {
    const preference = createPreference(4);
    preference.read(shardOf(3, [0, 3, 0], [0.5, 0.25, 0]), 0);
    expect(preference.mass[0]).toBeCloseTo(0.5, 3);
    preference.read(shardOf(1, [2], [0.75]), 0);
    expect([...preference.mass].map((mass) => Number(mass.toFixed(2)))).toEqual([0, 0, 0.75, 0]);
  });
});

describe("a source token's mass", () => {
  // Token 0 was seen three times before pivot token 1, once before 2; token 1 only before 3; token 2 before 1 and 4.
  const map = mapOf(
    [
      [1, 0.75],
      [2, 0.25],
    ],
    [[3, 1]],
    [
      [1, 0.5],
      [4, 0.5],
    ],
  );

  function divided(pivotRow: DistributionsShard) {
    const transfer = createTransfer(map, 6, 6);
    const preference = createPreference(6);
    preference.read(pivotRow, 0);
    const id = new Uint16Array(6);
    const logp = new Uint16Array(6);
    transfer.row(Int32Array.of(0, 1, 2), Uint16Array.from([0.5, 0.25, 0.125], half), 0, id, logp, 0, null, preference);
    const row = new Map(
      Array.from(id, (token, k) => [token, Math.exp(halfToNumber(logp[k]!))] as const).filter(([, p]) => p > 0),
    );
    return { row, totals: transfer.totals };
  }

  test("is divided as the pivot expects its places, and stays the same in sum", () => {
    const { row, totals } = divided(shardOf(2, [2, 1], [0.6, 0.2]));
    // Floor 0.02: token 0 weighs its places 0.2 + 0.015 and 0.6 + 0.005, token 2 its places 0.2 + 0.01 and 0.01.
    const [ofFirst, ofThird] = [0.215 / 0.82, 0.21 / 0.22];
    expect(row.get(1)).toBeCloseTo(0.5 * ofFirst + 0.125 * ofThird, 3);
    expect(row.get(2)).toBeCloseTo(0.5 * (1 - ofFirst), 3);
    expect(row.get(4)).toBeCloseTo(0.125 * (1 - ofThird), 3);
    expect(row.get(3)).toBeCloseTo(0.25, 3);
    expect(totals.placed).toBeCloseTo(0.875, 3);
  });

  test("is divided by the counts where the pivot expects none of its places", () => {
    const { row } = divided(shardOf(2, [5, 0], [0.6, 0.2]));
    expect(row.get(1)).toBeCloseTo(0.5 * 0.75 + 0.125 * 0.5, 3);
    expect(row.get(2)).toBeCloseTo(0.5 * 0.25, 3);
  });

  test("goes by the preference also as the rest of a label", () => {
    const transfer = createTransfer(map, 6, 6);
    const preference = createPreference(6);
    preference.read(shardOf(2, [4, 2], [0.5, 0.25]), 0);
    const id = new Uint16Array(6);
    const logp = new Uint16Array(6);
    const label = { source: 0, pivot: 5, stored: false, mass: 0.25, rest: 0.25 };
    transfer.row(Int32Array.of(0), Uint16Array.of(half(0.5)), 0, id, logp, 0, label, preference);
    // Floor 0.025: 1 weighs 0.01875, 2 weighs 0.25 + 0.00625.
    expect([...id.slice(0, 3)]).toEqual([5, 2, 1]);
    expect(Math.exp(halfToNumber(logp[1]!))).toBeCloseTo((0.25 * 0.25625) / 0.275, 3);
  });
});

test("an unknown division is refused with the ones there are", () => {
  expect(findDivision("pivot")).toBe("pivot");
  expect(() => findDivision("pivots")).toThrow('align: unknown division "pivots"; did you mean "pivot"?');
  expect(() => findDivision("thirds")).toThrow('align: unknown division "thirds"; expected counts, pivot');
});
