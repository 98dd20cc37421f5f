/** Which rows go where, and that what every row sends out comes back to it. */

import { expect, test } from "vitest";
import { gradients } from "#src/graph/autodiff.js";
import { createGraph, input, output } from "#src/graph/graph.js";
import { lowerGraph } from "#src/graph/lower.js";
import { cast } from "#src/graph/ops/arithmetic.js";
import { combine, dispatch, route } from "#src/graph/ops/routing.js";
import { normal } from "./finite-differences.ts";
import { type Results, runGraph } from "./run-graph.ts";

const WIDTH = 2;

/** The routing of logits given row by row; the rows' own values are `normal("x")`. */
async function run(logits: readonly (readonly number[])[], chosen: number): Promise<Results> {
  const shape = [logits.length, logits[0]!.length];
  const graph = createGraph();
  const x = input(graph, "x", [logits.length, WIDTH], "float");
  const router = input(graph, "logits", shape, "float");
  const routing = route(router, chosen, true);
  const slots = dispatch(x, routing);
  output(graph, "weights", routing.weights);
  output(graph, "rows", cast(routing.rows, "int32"));
  output(graph, "slots", cast(routing.slots, "int32"));
  output(graph, "sizes", cast(routing.sizes, "int32"));
  output(graph, "dispatched", slots);
  output(graph, "back", combine(slots, routing));
  const upstream = input(graph, "upstream", [logits.length, chosen], "float");
  output(graph, "grad", gradients(graph, [[routing.weights, upstream]], [router])[0]!);
  return runGraph(lowerGraph(graph, "float64"), {
    x: [normal("x", logits.length * WIDTH), [logits.length, WIDTH]],
    logits: [Float64Array.from(logits.flat()), shape],
    upstream: [normal("upstream", logits.length * chosen), [logits.length, chosen]],
  });
}

test("slots are sorted by expert and then by row, and an expert nobody chose has none", async () => {
  const found = await run(
    [
      [0, 3, 1, -1],
      [2, 1, 0, -5],
      [5, 0, 4, 1],
    ],
    2,
  );
  // Choices: row 0 takes experts 1 and 2, row 1 takes 0 and 1, row 2 takes 0 and 2.
  expect([...found.sizes!]).toEqual([2, 2, 2, 0]);
  expect([...found.rows!]).toEqual([1, 2, 0, 1, 0, 2]);
  expect([...found.slots!]).toEqual([2, 4, 0, 3, 1, 5]);
  const x = normal("x", 3 * WIDTH);
  expect([...found.dispatched!]).toEqual([1, 2, 0, 1, 0, 2].flatMap((row) => [x[row * WIDTH], x[row * WIDTH + 1]]));
});

test("weights are the chosen ones' share of the softmax, and other experts' logits have no gradient", async () => {
  const logits = [
    [0.5, 3, 1, -1],
    [2, 1, 0, -5],
  ];
  const found = await run(logits, 2);
  const chosen = [
    [1, 2],
    [0, 1],
  ];
  for (const [row, experts] of chosen.entries()) {
    const powers = logits[row]!.map(Math.exp);
    const sum = powers.reduce((a, b) => a + b, 0);
    const probabilities = experts.map((expert) => powers[expert]! / sum);
    const kept = probabilities[0]! + probabilities[1]!;
    for (const [choice, probability] of probabilities.entries()) {
      expect(found.weights![row * 2 + choice]).toBeCloseTo(probability / kept, 14);
    }
    for (let expert = 0; expert < 4; expert++) {
      if (!experts.includes(expert)) expect(found.grad![row * 4 + expert]).toBe(0);
    }
    const [first, second] = experts.map((expert) => found.grad![row * 4 + expert]!);
    expect(first! + second!).toBeCloseTo(0, 14);
    expect(Math.abs(first!)).toBeGreaterThan(1e-3);
  }
});

test("every row gets back what it sent, weights summing to one", async () => {
  const experts = 5;
  const rows = 40;
  const logits = Array.from({ length: rows }, (_, row) => [...normal(`row ${row}`, experts)]);
  const x = normal("x", rows * WIDTH);
  for (const chosen of [1, 3, experts]) {
    const found = await run(logits, chosen);
    expect([...found.sizes!].reduce((sum, size) => sum + size, 0)).toBe(rows * chosen);
    expect([...found.slots!].sort((a, b) => a - b)).toEqual([...Array(rows * chosen).keys()]);
    found.slots!.forEach((slot, place) => {
      expect(found.rows![slot]).toBe(Math.floor(place / chosen));
    });
    x.forEach((value, place) => {
      expect(found.back![place]).toBeCloseTo(value, 14);
    });
  }
});

test("of equally probable experts the first ones are chosen", async () => {
  const equal = new Array<number>(8).fill(0.25);
  const found = await run([equal, equal.with(6, 1), equal.with(0, -1)], 2);
  // Choices: 0 and 1; 6 and 0; 1 and 2.
  expect([...found.sizes!]).toEqual([2, 2, 1, 0, 0, 0, 1, 0]);
  expect([...found.rows!]).toEqual([0, 1, 0, 2, 2, 1]);
  expect([...found.slots!]).toEqual([0, 2, 5, 1, 3, 4]);
});
