import { expect, test } from "vitest";
import { gradients } from "#src/graph/autodiff.js";
import { addNode, constant, createGraph, input, onnx, output, scalar, sharedConstant } from "#src/graph/graph.js";
import { lowerGraph } from "#src/graph/lower.js";
import { add, multiply } from "#src/graph/ops/arithmetic.js";
import { gatherRows, scatterRows, topK } from "#src/graph/ops/indexing.js";
import { linear } from "#src/graph/ops/matmul.js";
import { runGraph } from "./run-graph.ts";

test("only inputs that the outputs depend on are asked for", () => {
  const graph = createGraph();
  const a = input(graph, "a", [2], "float");
  const b = input(graph, "b", [2], "float");
  multiply(a, b);
  output(graph, "y", add(a, a));
  expect(lowerGraph(graph, "float32").inputs).toEqual(["a"]);
});

test("one value under two names, and an input as an output, come out", async () => {
  const graph = createGraph();
  const a = input(graph, "a", [2], "float");
  const sum = add(a, a);
  output(graph, "first", sum);
  output(graph, "second", sum);
  output(graph, "same", a);
  const found = await runGraph(lowerGraph(graph, "float32"), { a: [Float32Array.of(1, 2), [2]] });
  expect(found).toEqual({
    first: Float32Array.of(2, 4),
    second: Float32Array.of(2, 4),
    same: Float32Array.of(1, 2),
  });
});

test("the same graph gives the same bytes", () => {
  const build = (): Uint8Array => {
    const graph = createGraph();
    const x = input(graph, "x", [4, 3], "float");
    const weight = input(graph, "weight", [2, 3], "float");
    const y = linear(x, weight, constant(graph, [1, 2], [2], "float"));
    const [gradient] = gradients(graph, [[y, y]], [weight]);
    output(graph, "gradient", gradient!);
    return lowerGraph(graph, "float32").onnx;
  };
  expect(Buffer.from(build()).equals(Buffer.from(build()))).toBe(true);
});

test("a shared constant is made once", () => {
  const graph = createGraph();
  expect(scalar(graph, 2)).toBe(scalar(graph, 2));
  expect(sharedConstant(graph, "mask", () => constant(graph, [1], [1], "float"))).toBe(
    sharedConstant(graph, "mask", () => constant(graph, [2], [1], "float")),
  );
});

test("a value that does not reach the seeds has no gradient", () => {
  const graph = createGraph();
  const a = input(graph, "a", [2], "float");
  const b = input(graph, "b", [2], "float");
  const y = multiply(a, a);
  expect(gradients(graph, [[y, y]], [b])).toEqual([undefined]);
});

test("a gradient of the wrong shape is a broken invariant", () => {
  const graph = createGraph();
  const a = input(graph, "a", [2], "float");
  expect(() => gradients(graph, [[a, constant(graph, [1], [1], "float")]], [a])).toThrow(
    "internal: the gradient of a value [2] came out as [1]",
  );
});

test("values of two graphs do not mix", () => {
  const graph = createGraph();
  const foreign = input(createGraph(), "a", [2], "float");
  output(graph, "y", addNode(graph, [foreign], [{ shape: [2], dtype: "float" }], onnx("Neg"))[0]!);
  expect(() => lowerGraph(graph, "float32")).toThrow("internal: a value of another graph");
});

test("equal logits rank by id, lower first", async () => {
  const graph = createGraph();
  const { values, indices } = topK(input(graph, "x", [1, 6], "float"), 3);
  output(graph, "values", values);
  output(graph, "indices", indices);
  const found = await runGraph(lowerGraph(graph, "float32"), { x: [Float32Array.of(1, 3, 2, 3, 0, 3), [1, 6]] });
  expect(Array.from(found.values!)).toEqual([3, 3, 3]);
  expect(Array.from(found.indices!, Number)).toEqual([1, 3, 5]);
});

test("rows are put back where they were gathered, and rows without weight nowhere", async () => {
  const graph = createGraph();
  const index = input(graph, "index", [3], "int32");
  const rows = gatherRows(input(graph, "x", [4, 2], "float"), index);
  output(graph, "y", scatterRows(rows, index, constant(graph, [0.5, 1, 0], [3], "float"), 4));
  const found = await runGraph(lowerGraph(graph, "float32"), {
    x: [Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), [4, 2]],
    index: [Int32Array.of(3, 1, 1), [3]],
  });
  expect(Array.from(found.y!)).toEqual([0, 0, 3, 4, 0, 0, 7, 8]);
});
