/** A linear layer of groups against one product a group, groups without rows above all. */

import { describe, expect, test } from "vitest";
import { gradients } from "#src/graph/autodiff.js";
import { createGraph, elements, type FloatType, input, output } from "#src/graph/graph.js";
import { lowerGraph } from "#src/graph/lower.js";
import { cast } from "#src/graph/ops/arithmetic.js";
import { groupedLinear } from "#src/graph/ops/grouped-linear.js";
import { normal } from "./finite-differences.ts";
import { type Feed, openGraph, type Results } from "./run-graph.ts";

const ROWS = 6;
const IN = 4;
const OUT = 3;
const GROUPS = 3;
/** Relative to entries of about one. */
const TOLERANCE = { float32: 1e-6, float64: 1e-14 } as const;

const SIZES = [
  [2, 3, 1],
  [0, 4, 2],
  [6, 0, 0],
  [0, 0, 6],
  [3, 0, 3],
];

/** The layer and its gradients, and what goes in but for the sizes. */
async function open(float: FloatType): Promise<{
  readonly run: (sizes: readonly number[]) => Promise<Results>;
  readonly x: Float64Array;
  readonly dy: Float64Array;
  readonly weights: readonly Float64Array[];
}> {
  const graph = createGraph();
  const sizes = input(graph, "sizes", [GROUPS], "int32");
  const x = input(graph, "x", [ROWS, IN], "float");
  const dy = input(graph, "dy", [ROWS, OUT], "float");
  const weights = Array.from({ length: GROUPS }, (_, group) => input(graph, `w${group}`, [OUT, IN], "float"));
  const y = groupedLinear(x, cast(sizes, "int64"), weights);
  output(graph, "y", y);
  gradients(graph, [[y, dy]], [x, ...weights]).forEach((gradient, index) => {
    output(graph, index === 0 ? "dx" : `dw${index - 1}`, gradient!);
  });
  const session = await openGraph(lowerGraph(graph, float));
  const data = (name: string, shape: readonly number[]): Feed => {
    const values = normal(name, elements(shape));
    return [float === "float32" ? Float32Array.from(values) : values, shape];
  };
  const feeds: Record<string, Feed> = { x: data("x", [ROWS, IN]), dy: data("dy", [ROWS, OUT]) };
  for (let group = 0; group < GROUPS; group++) feeds[`w${group}`] = data(`w${group}`, [OUT, IN]);
  const plain = (name: string): Float64Array => Float64Array.from(feeds[name]![0]);
  return {
    run: (groups) => session({ ...feeds, sizes: [Int32Array.from(groups), [GROUPS]] }),
    x: plain("x"),
    dy: plain("dy"),
    weights: weights.map((_, group) => plain(`w${group}`)),
  };
}

describe.each(["float32", "float64"] as const)("in %s", (float) => {
  test.each(SIZES.map((sizes) => [sizes]))("groups of %j rows are products of their own", async (sizes) => {
    const { run, x, dy, weights } = await open(float);
    // Groups that all have rows come first, so that memory used before holds something else than zeros.
    await run([2, 2, 2]);
    const found = await run(sizes);
    const y = new Float64Array(ROWS * OUT);
    const dx = new Float64Array(ROWS * IN);
    const dw = weights.map(() => new Float64Array(OUT * IN));
    const groupOf = sizes.flatMap((size, group) => new Array<number>(size).fill(group));
    for (const [row, group] of groupOf.entries()) {
      for (let o = 0; o < OUT; o++) {
        for (let i = 0; i < IN; i++) {
          const weight = weights[group]![o * IN + i]!;
          y[row * OUT + o]! += x[row * IN + i]! * weight;
          dx[row * IN + i]! += dy[row * OUT + o]! * weight;
          dw[group]![o * IN + i]! += dy[row * OUT + o]! * x[row * IN + i]!;
        }
      }
    }
    for (const [name, expected] of Object.entries({ y, dx, dw0: dw[0]!, dw1: dw[1]!, dw2: dw[2]! })) {
      const difference = expected.map((value, place) => Math.abs(value - found[name]![place]!));
      expect(Math.max(...difference), name).toBeLessThan(TOLERANCE[float]);
    }
    sizes.forEach((size, group) => {
      if (size === 0) expect([...found[`dw${group}`]!]).toEqual(new Array(OUT * IN).fill(0));
    });
  });
});

test("weights that do not fit the rows, or one another, are named", () => {
  const graph = createGraph();
  const x = input(graph, "x", [6, 4], "float");
  const sizes = input(graph, "sizes", [2], "int64");
  const [fits, other] = [input(graph, "a", [3, 4], "float"), input(graph, "b", [5, 4], "float")];
  const problem = "internal: no grouped product of [6,4], groups [2] and [3,4]; please report this";
  expect(() => groupedLinear(x, sizes, [fits, other])).toThrow(problem);
  expect(() => groupedLinear(x, sizes, [fits])).toThrow(problem);
  expect(() => groupedLinear(x, sizes, [input(graph, "c", [4, 3], "float")])).toThrow("and [4,3]");
});
