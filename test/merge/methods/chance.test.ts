/** Methods that draw by chance, against the statistics that any random generator must meet. */
import { describe, expect, test } from "vitest";
import { createRandom } from "#src/random.js";
import { mergeArrays } from "../merge-arrays.ts";

const ROWS = 64;
const WIDTH = 96;
const SEEDS = 60;
const random = createRandom("test of chance");
const update = Float64Array.from({ length: ROWS * WIDTH }, () => 0.01 * random.normal());
const base = new Float64Array(update.length);

/** Share of entries kept, of the smallest and of the largest tenth of each row, and how long the mean update is. */
function statistics(method: string, density: number, rescale: boolean) {
  const sums = { kept: 0, smallest: 0, largest: 0, magnitude: 0 };
  const mean = new Float64Array(update.length);
  const tenth = Math.floor(WIDTH / 10);
  for (let seed = 0; seed < SEEDS; seed++) {
    const { values } = mergeArrays(method, { seed, rescale, normalize: false }, [update], {
      base,
      shape: [ROWS, WIDTH],
      modelOptions: [{ weight: 1, density }],
    });
    for (let row = 0; row < ROWS; row++) {
      const places = Array.from({ length: WIDTH }, (_, i) => row * WIDTH + i);
      places.sort((a, b) => Math.abs(update[a]!) - Math.abs(update[b]!));
      sums.smallest += places.slice(0, tenth).filter((i) => values[i] !== 0).length / (tenth * ROWS);
      sums.largest += places.slice(-tenth).filter((i) => values[i] !== 0).length / (tenth * ROWS);
    }
    for (const [i, value] of values.entries()) {
      sums.kept += Number(value !== 0) / values.length;
      sums.magnitude += Math.abs(value);
      mean[i]! += value / SEEDS;
    }
  }
  const all = update.reduce((total, value) => total + Math.abs(value), 0);
  const squares = update.reduce((total, value) => total + value * value, 0);
  return {
    kept: sums.kept / SEEDS,
    smallest: sums.smallest / SEEDS,
    largest: sums.largest / SEEDS,
    magnitude: sums.magnitude / SEEDS / all,
    slope: mean.reduce((total, value, i) => total + value * update[i]!, 0) / squares,
  };
}

describe("as mergekit's over 400 seeds", () => {
  // Kept of all, of each row's smallest and largest tenth, sum of magnitudes, length of the mean.
  test.each([
    ["dare_linear", 0.3, true, 0.30011, 0.2994, 0.2998, 1, 0.9998],
    ["dare_ties", 0.7, false, 0.70053, 0.7013, 0.7012, 0.700709, 0.7008],
    ["della", 0.3, true, 0.30022, 0.163, 0.4367, 1, 1.0923],
    ["della_linear", 0.7, false, 0.70076, 0.5644, 0.8393, 0.763408, 0.7972],
  ] as const)("%s, density %f, rescale %s", (method, density, rescale, kept, smallest, largest, magnitude, slope) => {
    const found = statistics(method, density, rescale);
    // 64 x 96 entries and 60 seeds: the standard error of a share is 0.0008, of a tenth of it 0.0025.
    expect(Math.abs(found.kept - kept)).toBeLessThan(0.004);
    expect(Math.abs(found.smallest - smallest)).toBeLessThan(0.01);
    expect(Math.abs(found.largest - largest)).toBeLessThan(0.01);
    expect(Math.abs(found.magnitude - magnitude)).toBeLessThan(rescale ? 1e-9 : 0.006);
    expect(Math.abs(found.slope - slope)).toBeLessThan(0.015);
  });
});

describe("seeds", () => {
  const at = (name: string, seed: number, place = 0): number[] => {
    const models = place === 0 ? [update, base] : [base, update];
    const modelOptions = models.map(() => ({ weight: 1, density: 0.5 }));
    return mergeArrays("dare_linear", { seed }, models, { base, name, modelOptions }).values;
  };

  test("the same tensor gives the same entries; another name, seed or model gives others", () => {
    expect(at("a", 0)).toEqual(at("a", 0));
    expect(at("b", 0)).not.toEqual(at("a", 0));
    expect(at("a", 1)).not.toEqual(at("a", 0));
    expect(at("a", 0, 1)).not.toEqual(at("a", 0));
  });
});

test("a row of one entry is drawn with the density", () => {
  const tall = Float64Array.from({ length: 4000 }, () => 1);
  const { values } = mergeArrays("della_linear", { rescale: false }, [tall], {
    base: new Float64Array(4000),
    shape: [4000, 1],
    modelOptions: [{ weight: 1, density: 0.4, epsilon: 0.3 }],
  });
  // Standard error 0.008.
  expect(Math.abs(values.filter((value) => value !== 0).length / 4000 - 0.4)).toBeLessThan(0.03);
});

test("a density of 0 keeps nothing, of 1 everything", () => {
  for (const method of ["dare_linear", "della_linear", "ties", "breadcrumbs"]) {
    const at = (density: number): number[] =>
      mergeArrays(method, {}, [[1, -2, 3]], { base: [0, 0, 0], modelOptions: [{ weight: 1, density }] }).values;
    expect(at(0).map(Math.abs), method).toEqual([0, 0, 0]);
    expect(at(1), method).toEqual([1, -2, 3]);
  }
});
