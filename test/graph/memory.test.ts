import { expect, test } from "vitest";
import { gradients } from "#src/graph/autodiff.js";
import { createGraph, input, output, type Value } from "#src/graph/graph.js";
import { lowerGraph } from "#src/graph/lower.js";
import { executionOrder, peakBytes } from "#src/graph/memory.js";
import { after } from "#src/graph/ops/after.js";
import { exp, multiply } from "#src/graph/ops/arithmetic.js";
import { reduceSum } from "#src/graph/ops/broadcast.js";
import { linear } from "#src/graph/ops/matmul.js";
import { concat, reshape } from "#src/graph/ops/shape.js";
import { runGraph } from "./run-graph.ts";

/** A node from `b = op(a c)`. */
function parse(line: string) {
  const [to, op, from] = line.match(/^(.+) = (\w+)\((.*)\)$/)!.slice(1) as [string, string, string];
  return { op, inputs: from.split(" "), outputs: [to] };
}

/** The peak of nodes whose results are vectors of 25 single-precision numbers, or of the length that `lengths` says. */
function peakOf(lines: readonly string[], lengths: Readonly<Record<string, number>> = {}): number {
  const nodes = lines.map(parse);
  const made = nodes.flatMap((node) => node.outputs);
  return peakBytes({
    nodes,
    outputs: ["y"],
    extent: (name) => (made.includes(name) ? { shape: [lengths[name] ?? 25], type: "float32" } : undefined),
  }).inner;
}

test("a value lives from its node to its last reader; inputs and outputs are somebody else's", () => {
  expect(peakOf(["a = Exp(x)", "y = Exp(a)"])).toBe(100);
  expect(peakOf(["a = Exp(x)", "b = Exp(a)", "c = Exp(b)", "d = Exp(c)", "y = Exp(d)"])).toBe(200);
  expect(peakOf(["a = Exp(x)", "b = Exp(a)", "c = Exp(b)", "y = Sum(a b c)"])).toBe(300);
});

test("outputs count from their node to the end where they are asked for", () => {
  // y1 is alive while a and b are, y2 only at the end: 100 + 200, then 100 + 100 + 100.
  const nodes = ["a = Exp(x)", "y1 = Exp(a)", "b = Sum(a y1)", "y2 = Exp(b)"].map(parse);
  const found = peakBytes({ nodes, outputs: ["y1", "y2"], extent: () => ({ shape: [25], type: "float32" }) });
  expect(found).toEqual({ inner: 200, withOutputs: 300 });
});

test("a reshaped value is the memory it came from, and keeps it alive", () => {
  expect(peakOf(["a = Exp(x)", "b = Reshape(a s)", "y = Exp(b)"])).toBe(100);
  expect(peakOf(["a = Exp(x)", "b = Reshape(a s)", "c = Exp(a)", "d = Exp(c)", "y = Sum(b d)"])).toBe(300);
  expect(peakOf(["a = Reshape(x s)", "y = Exp(a)"])).toBe(0);
});

test("an operation that may writes over an input that nobody reads later", () => {
  expect(peakOf(["a = Exp(x)", "b = ScatterElements(a i u)", "y = Exp(b)"])).toBe(100);
  expect(peakOf(["a = Exp(x)", "b = ScatterElements(a i u)", "y = Sum(b a)"])).toBe(200);
});

test("a buffer that was given up and is taken again is kept in between", () => {
  const lines = ["a = Exp(x)", "b = Sum(a)", "c = Exp(b)", "y = Exp(c)"];
  expect(peakOf(lines, { b: 100 })).toBe(500);
  expect(peakOf(lines, { b: 100, c: 24 })).toBe(500);
  const again = [...lines.slice(0, 2), "d = Exp(b)", "c = Exp(d)", "y = Exp(c)"];
  expect(peakOf(again, { b: 100, d: 50 })).toBe(700);
  expect(peakOf(again, { b: 100, d: 50, c: 24 })).toBe(600);
});

test("nodes run depth first from the last leaf", () => {
  const node = (to: string, ...inputs: string[]) => ({ op: "Sum", inputs, outputs: [to] });
  const order = executionOrder([node("a", "x"), node("b", "x"), node("c", "a"), node("d", "b"), node("e", "b", "a")]);
  expect(order.map(({ outputs }) => outputs[0])).toEqual(["b", "a", "e", "d", "c"]);
});

test("the gradient of a weight is made as soon as it can be", () => {
  const peak = (layers: number): number => {
    const graph = createGraph();
    const weights = Array.from({ length: layers }, (_, index) => input(graph, `w${index}`, [50, 50], "float"));
    let x: Value = input(graph, "x", [100, 50], "float");
    for (const weight of weights) x = linear(x, weight);
    gradients(graph, [[x, x]], weights).forEach((gradient, index) => {
      output(graph, `grad.${index}`, gradient!);
    });
    return lowerGraph(graph, "float32").peakBytes.inner / (4 * 100 * 50);
  };
  // The results of the layers; waiting would keep the gradient of every one besides.
  expect(peak(10)).toBe(10);
  expect(peak(20)).toBe(20);
});

test("parts that wait for one another are never computed together", async () => {
  const build = (ordered: boolean) => {
    const graph = createGraph();
    const x = input(graph, "x", [8, 2], "float");
    const wide = input(graph, "wide", [1000, 2], "float");
    const parts: { readonly sum: Value; readonly square: Value }[] = [];
    for (let row = 0; row < 8; row++) {
      const before = parts.at(-1);
      const part = ordered && before !== undefined ? after(x, [before.sum, before.square]) : x;
      const products = exp(linear(part, wide));
      parts.push({ sum: reduceSum(products, [0, 1]), square: reduceSum(multiply(products, products), [0, 1]) });
    }
    output(
      graph,
      "sums",
      reshape(
        concat(
          parts.map(({ sum }) => sum),
          0,
        ),
        [8],
      ),
    );
    output(
      graph,
      "squares",
      reshape(
        concat(
          parts.map(({ square }) => square),
          0,
        ),
        [8],
      ),
    );
    return lowerGraph(graph, "float32");
  };
  const productBytes = 4 * 8 * 1000;
  expect(build(false).peakBytes.inner).toBeGreaterThan(8 * productBytes);
  expect(build(true).peakBytes.inner).toBeLessThan(2.2 * productBytes);
  const feeds = {
    x: [Float32Array.from({ length: 16 }, (_, i) => Math.sin(i)), [8, 2]],
    wide: [Float32Array.from({ length: 2000 }, (_, i) => Math.cos(i)), [1000, 2]],
  } as const;
  expect(await runGraph(build(true), feeds)).toEqual(await runGraph(build(false), feeds));
});
