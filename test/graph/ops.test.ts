/** Every operation with a gradient against finite differences; a case is one line. */

import { expect, test } from "vitest";
import { constant, createGraph, type Graph, input, type Value } from "#src/graph/graph.js";
import * as arithmetic from "#src/graph/ops/arithmetic.js";
import { causalAttention } from "#src/graph/ops/attention.js";
import { expand, reduceSum } from "#src/graph/ops/broadcast.js";
import { gatedGelu, gelu } from "#src/graph/ops/gated-gelu.js";
import { gatedSilu, silu } from "#src/graph/ops/gated-silu.js";
import { groupedLinear } from "#src/graph/ops/grouped-linear.js";
import { layerNorm } from "#src/graph/ops/layer-norm.js";
import { gemm, linear, matmul } from "#src/graph/ops/matmul.js";
import { reduceSumSquare, softmax } from "#src/graph/ops/reduction.js";
import { rmsNorm } from "#src/graph/ops/rms-norm.js";
import { rotary } from "#src/graph/ops/rotary.js";
import { combine, dispatch, route } from "#src/graph/ops/routing.js";
import { concat, reshape, slice, transpose } from "#src/graph/ops/shape.js";
import { softCap } from "#src/graph/ops/soft-cap.js";
import { split } from "#src/graph/ops/split.js";
import { rotaryEmbedding, rotaryTables } from "#src/models/rotary-tables.js";
import { gradientError } from "./finite-differences.ts";

/** Central differences in double precision are good to about 1e-10 of the largest gradient. */
const GRADIENT_TOLERANCE = 1e-7;
/** Single against double precision, of the largest entry. */
const PRECISION_TOLERANCE = 2e-6;

type Build = (inputs: readonly [Value, Value, Value], graph: Graph) => Value;

const attention = { batch: 2, length: 5, heads: 4, keyValueHeads: 2, headSize: 4, scale: 0.5, window: null, cap: null };

/** The square of a value plus one: a positive operand for logarithms and roots. */
const positive = (a: Value): Value => arithmetic.addScalar(arithmetic.multiply(a, a), 1);

const CASES: readonly (readonly [name: string, shapes: readonly (readonly number[])[], build: Build])[] = [
  [
    "add",
    [
      [3, 4],
      [3, 4],
    ],
    ([a, b]) => arithmetic.add(a, b),
  ],
  [
    "add, stretched",
    [
      [2, 3, 4],
      [3, 1],
    ],
    ([a, b]) => arithmetic.add(a, b),
  ],
  ["subtract, stretched", [[3, 1], [4]], ([a, b]) => arithmetic.subtract(a, b)],
  [
    "multiply, stretched",
    [
      [3, 4],
      [3, 1],
    ],
    ([a, b]) => arithmetic.multiply(a, b),
  ],
  ["multiply by itself", [[3, 4]], ([a]) => arithmetic.multiply(a, a)],
  ["divide", [[3, 4], [4]], ([a, b]) => arithmetic.divide(a, positive(b))],
  [
    "maximum",
    [
      [3, 4],
      [3, 4],
    ],
    ([a, b]) => arithmetic.maximum(a, b),
  ],
  ["negate", [[3, 4]], ([a]) => arithmetic.negate(a)],
  ["exp", [[3, 4]], ([a]) => arithmetic.exp(a)],
  ["log", [[3, 4]], ([a]) => arithmetic.log(positive(a))],
  ["sqrt", [[3, 4]], ([a]) => arithmetic.sqrt(positive(a))],
  ["reciprocal", [[3, 4]], ([a]) => arithmetic.reciprocal(positive(a))],
  ["sigmoid", [[3, 4]], ([a]) => arithmetic.sigmoid(a)],
  [
    "where",
    [
      [3, 4],
      [3, 4],
    ],
    ([a, b]) => arithmetic.where(arithmetic.greater(a, b), arithmetic.scale(a, 3), b),
  ],
  ["expand", [[3, 1]], ([a]) => expand(a, [2, 3, 4])],
  ["sum", [[2, 3, 4]], ([a]) => reduceSum(a, [0, 2])],
  ["sum of squares", [[2, 3, 4]], ([a]) => reduceSumSquare(a, [2])],
  ["softmax", [[3, 5]], ([a]) => softmax(a)],
  ["reshape", [[3, 4]], ([a]) => arithmetic.exp(reshape(a, [2, 6]))],
  ["transpose", [[2, 3, 4]], ([a]) => arithmetic.exp(transpose(a, [1, 2, 0]))],
  ["slice", [[3, 5]], ([a]) => arithmetic.exp(slice(a, 1, 1, 4))],
  [
    "concatenate",
    [
      [3, 2],
      [3, 4],
    ],
    ([a, b]) => arithmetic.exp(concat([a, b, a], 1)),
  ],
  [
    "gemm",
    [
      [3, 4],
      [4, 5],
    ],
    ([a, b]) => gemm(a, b, { scale: 0.5 }),
  ],
  [
    "gemm, both turned",
    [
      [4, 3],
      [5, 4],
    ],
    ([a, b]) => gemm(a, b, { transA: true, transB: true, scale: 0.5 }),
  ],
  [
    "gemm, left turned",
    [
      [4, 3],
      [4, 5],
    ],
    ([a, b]) => gemm(a, b, { transA: true }),
  ],
  [
    "gemm with a summand",
    [
      [3, 4],
      [4, 5],
      [3, 5],
    ],
    ([a, b, c]) => gemm(a, b, { c }),
  ],
  ["linear with bias", [[3, 4], [5, 4], [5]], ([a, b, c]) => linear(a, b, c)],
  [
    "linear of an operand used twice",
    [
      [3, 4],
      [4, 4],
    ],
    ([a, b]) => linear(linear(a, b), b, undefined, a),
  ],
  [
    "matmul",
    [
      [2, 3, 4],
      [2, 4, 5],
    ],
    ([a, b]) => matmul(a, b),
  ],
  [
    "matmul, both turned",
    [
      [2, 4, 3],
      [2, 5, 4],
    ],
    ([a, b]) => matmul(a, b, { transA: true, transB: true, scale: 0.5 }),
  ],
  [
    "matmul, left turned",
    [
      [2, 4, 3],
      [2, 4, 5],
    ],
    ([a, b]) => matmul(a, b, { transA: true }),
  ],
  [
    "grouped linear",
    [
      [5, 4],
      [3, 4],
      [3, 4],
    ],
    ([a, b, c], graph) => groupedLinear(a, constant(graph, [2, 3], [2], "int64"), [b, c]),
  ],
  [
    "grouped linear, one group empty",
    [
      [5, 4],
      [3, 4],
      [3, 4],
    ],
    ([a, b, c], graph) => groupedLinear(a, constant(graph, [0, 5, 0], [3], "int64"), [c, b, c]),
  ],
  ["weights of a routing", [[6, 4]], ([a]) => route(a, 2, true).weights],
  ["weights of a routing, not divided by their sum", [[6, 4]], ([a]) => route(a, 2, false).weights],
  [
    "rows to their slots and back",
    [
      [6, 3],
      [6, 4],
    ],
    ([a, b]) => {
      const routing = route(b, 2, true);
      return combine(arithmetic.exp(dispatch(a, routing)), routing);
    },
  ],
  ["normalisation", [[3, 6], [6]], ([a, b]) => rmsNorm(a, b, 1e-5)],
  ["silu", [[3, 4]], ([a]) => silu(a)],
  [
    "gated silu",
    [
      [3, 4],
      [3, 4],
    ],
    ([a, b]) => gatedSilu(a, b),
  ],
  ["gelu", [[3, 4]], ([a]) => gelu(arithmetic.scale(a, 3))],
  [
    "gated gelu",
    [
      [3, 4],
      [3, 4],
    ],
    ([a, b]) => gatedGelu(a, b),
  ],
  [
    "split, parts of one sum",
    [
      [3, 7],
      [3, 2],
    ],
    ([a, b]) => {
      const [first, second, third] = split(a, 1, [2, 4, 1]);
      const square = arithmetic.multiply(a, a);
      return concat([arithmetic.multiply(first!, b), second!, arithmetic.multiply(third!, square)], 1);
    },
  ],
  ["split, one part unused", [[3, 5]], ([a]) => split(a, 1, [2, 3])[1]!],
  ["rotary", [[10, 8]], ([a]) => rotary(a, rotaryTables(rotaryEmbedding(100, 4), { headSize: 4, length: 5 }))],
  ["layer norm", [[3, 5], [5]], ([x, weight]) => layerNorm(x, weight, 0.1)],
  [
    "rotary, of neighbours",
    [[10, 8]],
    ([a]) => rotary(a, rotaryTables({ ...rotaryEmbedding(100, 4), isInterleaved: true }, { headSize: 4, length: 5 })),
  ],
  [
    "rotary, of a part of every head, scaled",
    [[10, 16]],
    ([a]) => rotary(a, rotaryTables({ ...rotaryEmbedding(100, 4), factor: 1.5 }, { headSize: 8, length: 5 })),
  ],
  [
    "rotary, of neighbours in a part of every head",
    [[10, 16]],
    ([a]) => rotary(a, rotaryTables({ ...rotaryEmbedding(100, 4), isInterleaved: true }, { headSize: 8, length: 5 })),
  ],
  [
    "attention",
    [
      [10, 16],
      [10, 8],
      [10, 8],
    ],
    ([q, k, v]) => causalAttention(q, k, v, attention),
  ],
  [
    "attention, window",
    [
      [10, 16],
      [10, 8],
      [10, 8],
    ],
    ([q, k, v]) => causalAttention(q, k, v, { ...attention, window: 2 }),
  ],
  [
    "attention, capped",
    [
      [10, 16],
      [10, 8],
      [10, 8],
    ],
    ([q, k, v]) => causalAttention(q, k, v, { ...attention, cap: 0.7 }),
  ],
  ["soft cap", [[5, 7]], ([a]) => softCap(a, 0.8)],
];

for (const [name, shapes, build] of CASES) {
  test(`${name}: gradients equal finite differences, and the precisions agree`, async () => {
    const { gradient, precision } = await gradientError(shapes, (inputs, graph) =>
      build(inputs as unknown as readonly [Value, Value, Value], graph),
    );
    expect(gradient).toBeLessThan(GRADIENT_TOLERANCE);
    expect(precision).toBeLessThan(PRECISION_TOLERANCE);
  });
}

test("shapes that do not fit are named", () => {
  const graph = createGraph();
  const a = input(graph, "a", [3, 4], "float");
  const b = input(graph, "b", [3, 2], "float");
  expect(() => arithmetic.add(a, b)).toThrow("internal: shapes [3,4] and [3,2] do not broadcast; please report this");
  expect(() => gemm(a, b)).toThrow("internal: no matrix product of [3,4] and [3,2]");
  expect(() => reshape(a, [5])).toThrow("internal: cannot reshape [3,4] to [5]");
  expect(() => slice(a, 1, 2, 7)).toThrow("internal: no slice 2:7 of [3,4]");
  expect(() => split(a, 1, [2, 1])).toThrow("internal: no split of [3,4] into 2,1 along axis 1");
});
