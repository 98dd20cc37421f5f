import { expect, test } from "vitest";
import { createGraph, input, output } from "#src/graph/graph.js";
import { lowerGraph } from "#src/graph/lower.js";
import { drawCounts } from "#src/graph/ops/draw.js";
import { createRandom } from "#src/random.js";
import { openGraph } from "./run-graph.ts";

const K = 10;

async function opened(rows: number, ids: number) {
  const graph = createGraph();
  const p = input(graph, "p", [rows, ids], "float");
  const u = input(graph, "u", [rows, 1], "float");
  output(graph, "count", drawCounts(p, u, K));
  const run = await openGraph(lowerGraph(graph, "float32"));
  return async (probabilities: Float32Array, uniform: Float32Array): Promise<Float32Array> => {
    const { count } = await run({ p: [probabilities, [rows, ids]], u: [uniform, [rows, 1]] });
    return count as Float32Array;
  };
}

/** A softmax of normal logits, flat to steep. */
function softmaxRow(random: ReturnType<typeof createRandom>, ids: number, scale: number): number[] {
  const weights = Array.from({ length: ids }, () => Math.exp(scale * random.normal()));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

test("each id gets the places that fall into its part of the unit interval, as float64 has it", async () => {
  const [rows, ids] = [64, 97];
  const random = createRandom("draw");
  const p = new Float32Array(rows * ids);
  for (let row = 0; row < rows; row++) p.set(softmaxRow(random, ids, 0.1 + row / 16), row * ids);
  const u = Float32Array.from({ length: rows }, (_, row) => (row === 0 ? 0 : row === 1 ? 1 - 2 ** -24 : random.next()));
  const count = await (await opened(rows, ids))(p, u);
  for (let row = 0; row < rows; row++) {
    const own = p.subarray(row * ids, (row + 1) * ids);
    const whole = own.reduce((a, b) => a + b, 0);
    const expected = new Float32Array(ids);
    for (let place = 0; place < K; place++) {
      let sum = 0;
      const at = own.findIndex((mass) => {
        sum += mass;
        return (sum / whole) * K > place + u[row]!;
      });
      expected[at < 0 ? ids - 1 : at]!++;
    }
    expect(count.subarray(row * ids, (row + 1) * ids).map(Math.abs), `row ${row}`).toEqual(expected);
  }
});

test("over many draws the mean is the distribution: the target is unbiased, and less spread than independent draws", async () => {
  const [draws, ids] = [4096, 50];
  const own = softmaxRow(createRandom("draw/row"), ids, 2);
  const p = new Float32Array(draws * ids);
  for (let draw = 0; draw < draws; draw++) p.set(own, draw * ids);
  const random = createRandom("draw/uniform");
  const u = Float32Array.from({ length: draws }, () => random.integer(2 ** 24) / 2 ** 24);
  const count = await (await opened(draws, ids))(p, u);
  for (let id = 0; id < ids; id++) {
    let [sum, square] = [0, 0];
    for (let draw = 0; draw < draws; draw++) {
      const times = count[draw * ids + id]!;
      sum += times;
      square += times * times;
    }
    const mean = sum / draws;
    const variance = square / draws - mean * mean;
    const expected = K * own[id]!;
    const part = expected - Math.floor(expected);
    // Between floor and ceiling alone: a Bernoulli variable. Five standard errors: one of 50 ids in 35,000 such tests.
    expect(Math.abs(mean - expected)).toBeLessThan(5 * Math.sqrt((part * (1 - part)) / draws) + 1e-3);
    expect(variance).toBeLessThanOrEqual(0.25 + 1e-9);
    // K independent draws have K p (1 - p).
    if (own[id]! > 0.1) expect(variance).toBeLessThan(0.6 * expected * (1 - own[id]!));
  }
});
