import { expect, test } from "vitest";
import { createGraph, input, output } from "#src/graph/graph.js";
import { lowerGraph } from "#src/graph/lower.js";
import { gelu } from "#src/graph/ops/gated-gelu.js";
import { type Feed, runGraph } from "./run-graph.ts";

/** What PyTorch's `gelu` with `approximate="tanh"` gives in float64. */
const VALUES = [
  [-20, -0],
  [-6, -8.43964897967453e-11],
  [-3, -0.0036373920817729943],
  [-1, -0.15880800939172324],
  [-0.5, -0.15428599017485606],
  [0, 0],
  [0.25, 0.149675350701685],
  [1, 0.8411919906082768],
  [2.5, 2.484915733910001],
  [6, 5.9999999999156035],
  [20, 20],
] as const;

async function apply(float: "float32" | "float64", values: Feed[0]): Promise<ArrayLike<number>> {
  const graph = createGraph();
  output(graph, "y", gelu(input(graph, "x", [values.length], "float")));
  return (await runGraph(lowerGraph(graph, float), { x: [values, [values.length]] })).y!;
}

test("gelu has PyTorch's values, in both precisions", async () => {
  const points = VALUES.map(([x]) => x);
  const double = await apply("float64", Float64Array.from(points));
  const single = await apply("float32", Float32Array.from(points));
  VALUES.forEach(([, expected], index) => {
    // 1 + tanh loses what is small beside one, a sigmoid does not: at -6 they differ by 3e-15.
    expect(Math.abs(double[index]! - expected)).toBeLessThan(1e-14);
    expect(Math.abs(single[index]! - expected)).toBeLessThan(2e-7 * Math.max(1, Math.abs(expected)));
  });
});

test("gelu of very large values is finite", async () => {
  expect(Array.from(await apply("float32", Float32Array.of(-1e6, 1e6)), Math.abs)).toEqual([0, 1e6]);
});
