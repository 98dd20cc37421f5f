import { expect, test } from "vitest";
import { resampledSums, resampledUnits, sumOf } from "#src/statistics/resamples.js";
import { normals } from "./samples.ts";

function draws(units: number, resamples: number, seed: string): number[] {
  return [...resampledUnits(units, resamples, seed)].flatMap((block) => [...block]);
}

test("a resample is n of n units, each as often as the next", () => {
  const found = draws(7, 30_000, "even");
  expect(found.length).toBe(210_000);
  const counts = Array.from({ length: 7 }, (_, unit) => found.filter((drawn) => drawn === unit).length);
  // 30,000 expected of each; six standard deviations are 962.
  for (const count of counts) expect(Math.abs(count - 30_000)).toBeLessThan(962);
});

test("the draws are those of the number of units and the seed", () => {
  expect(draws(5, 100, "a")).toEqual(draws(5, 100, "a"));
  expect(draws(5, 100, "a")).not.toEqual(draws(5, 100, "b"));
  expect(draws(1, 3, "a")).toEqual([0, 0, 0]);
});

test("more draws than are kept come in blocks of whole resamples, and give the same sums", () => {
  const units = 60_000;
  const resamples = 300;
  const column = Float64Array.from(normals(units, 1, "many"));
  const [sums] = resampledSums([column], resamples, "blocks");
  const lengths: number[] = [];
  for (const block of resampledUnits(units, resamples, "blocks")) {
    const first = lengths.reduce((total, length) => total + length, 0) / units;
    const sum = block.subarray(0, units).reduce((total, unit) => total + column[unit]!, 0);
    expect(Math.abs(sums![first]! - sum)).toBeLessThan(1e-8);
    lengths.push(block.length);
  }
  // 2^20 draws at a time are 17 resamples.
  expect(lengths).toEqual([...Array(17).fill(17 * units), 11 * units]);
});

test("draws that were forgotten for others are made again alike", () => {
  const start = (seed: string) => resampledUnits(20_000, 300, seed).next().value?.slice(0, 50);
  const first = start("forgotten");
  // 6 million draws each, of which 16 million are kept.
  for (const seed of ["b", "c", "d"]) expect(start(seed)).not.toEqual(first);
  expect(start("forgotten")).toEqual(first);
});

test("the sum over all units is that of a resample which draws each once", () => {
  const column = Float64Array.from([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]);
  expect(sumOf(column)).toBeCloseTo(2.8, 14);
  expect(sumOf(new Float64Array())).toBe(0);
});
