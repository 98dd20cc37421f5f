/** Attention against a plain loop over heads and positions. */

import { expect, test } from "vitest";
import { createGraph, input, output } from "#src/graph/graph.js";
import { lowerGraph } from "#src/graph/lower.js";
import { type AttentionOptions, causalAttention } from "#src/graph/ops/attention.js";
import { normal } from "./finite-differences.ts";
import { type Feed, runGraph } from "./run-graph.ts";

const TOLERANCE = 1e-12;
/** The runtime keeps the factor of a product in single precision, in double ones too; this one is exact there. */
const SCALE = 0.75;

for (const [name, length, heads, keyValueHeads, window] of [
  ["every query head has its own keys", 6, 3, 3, null],
  ["two query heads share one key head", 6, 4, 2, null],
  ["all query heads share one key head", 6, 4, 1, null],
  ["a window of three positions", 9, 2, 1, 3],
  ["a window of one position", 5, 2, 2, 1],
  ["a window longer than the sequence", 5, 2, 2, 8],
  ["several blocks of queries", 300, 2, 1, null],
  ["several blocks of queries under a window", 300, 2, 1, 40],
] as const) {
  test(`attention where ${name} equals a plain loop`, async () => {
    const options = { batch: 2, length, heads, keyValueHeads, headSize: 4, scale: SCALE, window, cap: null };
    const shapes = [heads, keyValueHeads, keyValueHeads].map((count) => [2 * length, count * 4] as const);
    const feeds = shapes.map((shape, index) => [normal(`${name}/${index}`, shape[0] * shape[1]), shape] as const);
    const graph = createGraph();
    const [query, key, value] = shapes.map((shape, index) => input(graph, `x${index}`, shape, "float"));
    output(graph, "out", causalAttention(query!, key!, value!, options));
    const found = await runGraph(
      lowerGraph(graph, "float64"),
      Object.fromEntries(feeds.map((feed, index) => [`x${index}`, feed as Feed])),
    );
    const expected = plainAttention(feeds[0]![0], feeds[1]![0], feeds[2]![0], options);
    let difference = 0;
    expected.forEach((entry, place) => {
      difference = Math.max(difference, Math.abs(entry - found.out![place]!));
    });
    expect(difference).toBeLessThan(TOLERANCE);
  });
}

function plainAttention(
  query: Float64Array,
  key: Float64Array,
  value: Float64Array,
  options: AttentionOptions,
): Float64Array {
  const { batch, length, heads, keyValueHeads, headSize, scale } = options;
  const out = new Float64Array(query.length);
  for (let b = 0; b < batch; b++) {
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor(head / (heads / keyValueHeads));
      const at = (count: number, which: number, t: number): number => ((b * length + t) * count + which) * headSize;
      for (let t = 0; t < length; t++) {
        const first = options.window === null ? 0 : Math.max(0, t - options.window + 1);
        const weights: number[] = [];
        for (let s = first; s <= t; s++) {
          let dot = 0;
          for (let j = 0; j < headSize; j++) {
            dot += query[at(heads, head, t) + j]! * key[at(keyValueHeads, shared, s) + j]!;
          }
          weights.push(Math.exp(scale * dot));
        }
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        weights.forEach((weight, index) => {
          for (let j = 0; j < headSize; j++) {
            out[at(heads, head, t) + j]! += (weight / total) * value[at(keyValueHeads, shared, first + index) + j]!;
          }
        });
      }
    }
  }
  return out;
}
