/**
 * Arcee Fusion: takes of one other model the entries that matter most. An entry's importance is the size of its update
 * times how far its row (last axis), read as logits, moved: the Kullback-Leibler divergence of the two softmaxes, 1e-8
 * added to every probability. Entries of an importance of at least the median plus 1.5 times the distance of the
 * quartiles come from the other model.
 */
import { z } from "zod";
import { type Chunk, defineMethod, type MergeMethod, type Pass } from "../method.ts";
import { findCuts } from "../steps/cuts.ts";
import { forEachRun, type Groups, rowsOf } from "../steps/groups.ts";

/** Added to the probabilities. */
const SMALLEST_PROBABILITY = 1e-8;
/** Beyond the median, in distances of the quartiles: the usual mark of an outlier. */
const OUTLIER = 1.5;

export const arceeFusion: MergeMethod = defineMethod({
  name: "arcee_fusion",
  summary: "the entries of one other model that matter most, by update and divergence of rows",
  paper: "mergekit (Goddard et al. 2024), arXiv:2403.13257",
  base: "origin",
  inputs: { least: 1, most: 1 },
  differs:
    "the importance is computed in double precision and its quartiles over all entries; mergekit's is rounding noise in part, and above a million entries its quartiles are those of a random sample. Not repeated by `--like mergekit`",
  options: z.strictObject({}),
  modelOptions: z.strictObject({}),
  *tensor({ shape, size, memory }) {
    const rows = rowsOf(size, shape.at(-1) ?? 1);
    const divergence = yield* divergences(rows);
    const importance = (chunk: Chunk, scores: Float64Array): void =>
      forEachRun(rows, chunk, (row, from, to) => {
        for (let i = from; i < to; i++) scores[i] = Math.abs(chunk.models[i]! - chunk.base[i]!) * divergence[row]!;
      });
    // The entry of rank r from below is the last of the size - r largest.
    const counts = [0.25, 0.5, 0.75].map((quantile) => size - Math.floor(quantile * (size - 1)));
    const [quartiles] = yield* findCuts(size, [{ score: importance, counts: () => counts }], memory);
    const [low, median, high] = quartiles!.map(({ score }) => score);
    const threshold = median! + OUTLIER * (high! - low!);
    return {
      write: (chunk, merged) => {
        importance(chunk, merged);
        for (let i = 0; i < chunk.count; i++) {
          merged[i] = merged[i]! >= threshold ? chunk.models[i]! : chunk.base[i]!;
        }
      },
    };
  },
});

/** [rows] how far the softmax of the other model's row is from that of the base's, nats. */
function* divergences(rows: Groups): Generator<Pass, Float64Array, void> {
  const tops = [0, 1].map(() => new Float64Array(rows.count).fill(Number.NEGATIVE_INFINITY));
  yield (chunk) =>
    forEachRun(rows, chunk, (row, from, to) => {
      for (const [side, values] of [chunk.models, chunk.base].entries()) {
        for (let i = from; i < to; i++) tops[side]![row] = Math.max(tops[side]![row]!, values[i]!);
      }
    });
  const sums = tops.map(() => new Float64Array(rows.count));
  yield (chunk) =>
    forEachRun(rows, chunk, (row, from, to) => {
      for (const [side, values] of [chunk.models, chunk.base].entries()) {
        for (let i = from; i < to; i++) sums[side]![row]! += Math.exp(values[i]! - tops[side]![row]!);
      }
    });
  const divergence = new Float64Array(rows.count);
  yield ({ models, base, ...chunk }) =>
    forEachRun(rows, { models, base, ...chunk }, (row, from, to) => {
      const probability = (side: number, value: number): number =>
        Math.exp(value - tops[side]![row]!) / sums[side]![row]! + SMALLEST_PROBABILITY;
      for (let i = from; i < to; i++) {
        const p = probability(0, models[i]!);
        divergence[row]! += p * Math.log(p / probability(1, base[i]!));
      }
    });
  // Rounding may leave less than nothing where the rows are equal.
  return divergence.map((value) => Math.max(0, value));
}
