/** Cuts at the largest scores, and what is kept and selected by them, against sorting all. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createBlockMemory } from "#src/merge/block-memory.js";
import { CHUNK_ENTRIES, type Chunk, type Pass } from "#src/merge/chunk.js";
import { above, type Cut, findCuts, type Ranking } from "#src/merge/steps/cuts.js";
import { createKeeper } from "#src/merge/steps/kept-updates.js";
import { createSelectedEnergies } from "#src/merge/steps/selected-energies.js";
import { createSelector } from "#src/merge/steps/selected-entries.js";
import { createRandom } from "#src/random.js";

const memory = createBlockMemory();

/** Chunks of one model's values with a base of zeros. */
function* chunksOf(values: ArrayLike<number>): Generator<Chunk> {
  const models = memory.doubles("models", CHUNK_ENTRIES);
  const base = memory.doubles("base", CHUNK_ENTRIES).fill(0);
  for (let start = 0; start < values.length; start += CHUNK_ENTRIES) {
    const count = Math.min(CHUNK_ENTRIES, values.length - start);
    models.fill(0);
    for (let i = 0; i < count; i++) models[i] = values[start + i]!;
    yield { start, count, models, base };
  }
}

function run<T>(work: Generator<Pass, T, void>, values: ArrayLike<number>): { result: T; readings: number } {
  for (let readings = 0; ; readings++) {
    const step = work.next();
    if (step.done === true) return { result: step.value, readings };
    for (const chunk of chunksOf(values)) step.value(chunk);
  }
}

const magnitude = ({ models, count }: Chunk, scores: Float64Array): void => {
  for (let i = 0; i < count; i++) scores[i] = Math.abs(models[i]!);
};

function cutsOf(values: ArrayLike<number>, counts: readonly number[]): { cuts: readonly Cut[]; readings: number } {
  const { result, readings } = run(
    findCuts(values.length, [{ score: magnitude, counts: () => counts }], memory),
    values,
  );
  return { cuts: result[0]!, readings };
}

/** Places by magnitude, ties to the lower index. */
function ordered(values: ArrayLike<number>): number[] {
  const list = Array.from(values, Math.abs);
  return [...list.keys()].sort((a, b) => list[b]! - list[a]! || a - b);
}

function cutBySorting(values: ArrayLike<number>, count: number): Cut {
  const chosen = ordered(values).slice(0, count);
  const score = Math.abs(values[chosen.at(-1)!]!);
  return { score, equal: chosen.filter((i) => Math.abs(values[i]!) === score).length };
}

describe("cuts", () => {
  test("are those of sorting, for any doubles", () => {
    const values = fc.array(
      fc.oneof(fc.double({ min: -1e-3, max: 1e-3, noNaN: true }), fc.constantFrom(0, 1, 1 + Number.EPSILON, 1e300)),
      { minLength: 1, maxLength: 200 },
    );
    fc.assert(
      fc.property(values, fc.array(fc.nat(), { minLength: 1, maxLength: 3 }), (list, picks) => {
        const counts = picks.map((pick) => 1 + (pick % list.length));
        expect(cutsOf(list, counts).cuts).toEqual(counts.map((count) => cutBySorting(list, count)));
      }),
      { numRuns: 30 },
    );
  });

  test("of nothing has nothing above it", () => {
    expect(cutsOf([1, 2], [0])).toEqual({ cuts: [{ score: Number.POSITIVE_INFINITY, equal: 0 }], readings: 1 });
  });

  test("count what is not 0", () => {
    let counted = 0;
    const counts = (positive: number): number[] => {
      counted = positive;
      return [1];
    };
    const ranking: Ranking = { score: magnitude, counts };
    run(
      findCuts(6000, [ranking], memory),
      Float64Array.from({ length: 6000 }, (_, i) => (i % 2) * (i + 1)),
    );
    expect(counted).toBe(3000);
  });

  test("take two readings of scores with few bits, however many tie, and of those that few share a bin", () => {
    // Differences of bfloat16 numbers: 16 bits at most.
    const few = Float64Array.from({ length: 200_000 }, (_, i) => 2 ** -20 * (30_000 + ((i * 7919) % 100)));
    const random = createRandom("continuous");
    const continuous = Float64Array.from({ length: 200_000 }, () => random.normal());
    for (const values of [few, continuous]) {
      for (const count of [1, 12_345, 199_999]) {
        const { cuts, readings } = cutsOf(values, [count]);
        expect(cuts).toEqual([cutBySorting(values, count)]);
        expect(readings).toBe(2);
      }
    }
  });

  test("take more where a bin is full of scores that only their last bits tell apart", () => {
    const values = Float64Array.from({ length: 20_000 }, (_, i) => 1 + (i % 3) * Number.EPSILON);
    const { cuts, readings } = cutsOf(values, [100, 10_000, 19_999]);
    expect(cuts).toEqual([100, 10_000, 19_999].map((count) => cutBySorting(values, count)));
    expect(readings).toBe(4);
  });
});

test("the next larger double", () => {
  expect([above(1), above(0), above(Number.POSITIVE_INFINITY)]).toEqual([
    1 + Number.EPSILON,
    Number.MIN_VALUE,
    Number.POSITIVE_INFINITY,
  ]);
});

/** Seven chunks of values that tie often, and both signs. */
const tied = Float64Array.from({ length: 6 * CHUNK_ENTRIES + 77 }, (_, i) => ((i * 7919) % 41) - 20);

function keptBy(from: Cut, to: Cut): number[] {
  const keep = createKeeper([{ from, to }], memory);
  const kept: number[] = [];
  for (const chunk of chunksOf(tied)) kept.push(...keep(chunk).subarray(0, chunk.count));
  return kept;
}

test.each([
  [0, 1],
  [0, 9_999],
  [500, 20_000],
  [20_000, tied.length],
  [700, 700],
])("updates after the %i largest up to the %i largest are kept, of equal ones the first", (dropped, last) => {
  const { cuts } = cutsOf(tied, [dropped, last]);
  const chosen = new Set(ordered(tied).slice(dropped, last));
  expect(keptBy(cuts[0]!, cuts[1]!)).toEqual(Array.from(tied, (value, i) => (chosen.has(i) ? value : 0)));
});

test.each([1, 12_345, tied.length])("the %i largest are packed, of equal ones the first", (count) => {
  const [cut] = cutsOf(tied, [count]).cuts;
  const select = createSelector(1, magnitude, cut!, memory);
  const found: number[] = [];
  for (const chunk of chunksOf(tied)) {
    const { places: all, entries } = select(chunk);
    const places = all.subarray(0, entries.count);
    found.push(...Array.from(places, (place) => chunk.start + place));
    expect([...entries.models.subarray(0, entries.count)]).toEqual(Array.from(places, (place) => chunk.models[place]!));
    const padded = Math.ceil(entries.count / 8) * 8;
    expect(entries.models.subarray(entries.count, padded).every((value) => value === 0)).toBe(true);
  }
  expect(found).toEqual(
    ordered(tied)
      .slice(0, count)
      .sort((a, b) => a - b),
  );
});

test.each([
  [5000, true],
  [100, false],
  [0, false],
])("energies over the largest are known with their cut where at most %i lie at its edge: %s", (most, isKnown) => {
  const energies = new Float64Array(1);
  for (const count of [1, 12_345, tied.length - 1]) {
    const watcher = createSelectedEnergies(1, most, memory);
    const ranking: Ranking = { score: magnitude, counts: () => [count], watch: watcher.watch };
    const { result } = run(findCuts(tied.length, [ranking], memory), tied);
    expect(watcher.upTo(result[0]![0]!, energies)).toBe(isKnown);
    if (!isKnown) continue;
    const chosen = ordered(tied).slice(0, count);
    expect(energies[0]).toBe(chosen.reduce((total, i) => total + tied[i]! ** 2, 0));
  }
});
