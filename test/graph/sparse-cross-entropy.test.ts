/** The loss and the gradient it computes in the same pass, against its definition and finite differences of that. */

import { describe, expect, test } from "vitest";
import { createGraph, input, output } from "#src/graph/graph.js";
import { lowerGraph } from "#src/graph/lower.js";
import { COMPLEMENT_FLOOR, sparseCrossEntropy } from "#src/graph/sparse-cross-entropy.js";
import { normal } from "./finite-differences.ts";
import { type Feed, type Results, runGraph } from "./run-graph.ts";

const ROWS = 5;
const HIDDEN = 3;
const VOCABULARY = 7;
const WIDTH = 3;

/** Row 1 repeats an id, row 2 repeats its label, row 3 has unused places (id 0, weight 0), row 4 is padding. */
const LABEL = [3, 0, 6, 2, 0];
const LABEL_WEIGHT = [0.9, 0.9, 0.9, 0.9, 0];
const TARGET_ID = [1, 2, 3, 5, 5, 1, 6, 0, 4, 4, 0, 0, 0, 0, 0];
const TARGET_WEIGHT = [0.02, 0.03, 0.01, 0.03, 0.02, 0.01, 0.05, 0.01, 0.02, 0.04, 0, 0, 0, 0, 0];
const TAIL_WEIGHT = [0.04, 0.05, 0.02, 0.06, 0];

interface Case {
  readonly hidden: Float64Array;
  readonly head: Float64Array;
  readonly tail: boolean;
  readonly chunkRows: number;
  readonly logitCap: number | null;
}

describe.each([
  { tail: false, chunkRows: 8, logitCap: null },
  { tail: true, chunkRows: 8, logitCap: null },
  { tail: true, chunkRows: 2, logitCap: null },
  { tail: true, chunkRows: 2, logitCap: 1.5 },
])("with tail $tail, in chunks of $chunkRows rows, logits capped at $logitCap", ({ tail, chunkRows, logitCap }) => {
  const settings: Case = {
    hidden: normal("hidden", ROWS * HIDDEN),
    head: normal("head", VOCABULARY * HIDDEN),
    tail,
    chunkRows,
    logitCap,
  };

  test("the outputs are the definition's", async () => {
    const found = await run(settings);
    const expected = definition(settings);
    expect(largestDifference(found.label_logp!, expected.labelLogp)).toBeLessThan(1e-12);
    expect(largestDifference(found.target_logp!, expected.targetLogp)).toBeLessThan(1e-12);
    if (tail) expect(largestDifference(found.complement_log!, expected.complementLog)).toBeLessThan(1e-12);
  });

  test("both gradients equal finite differences of the definition", async () => {
    const found = await run(settings);
    for (const [operand, gradient] of [
      ["hidden", found.hidden_gradient!],
      ["head", found.head_gradient!],
    ] as const) {
      const expected = settings[operand].map((_, place) => {
        const at = (step: number): number => {
          const moved = settings[operand].slice();
          moved[place]! += step;
          return definition({ ...settings, [operand]: moved }).loss;
        };
        return (at(1e-5) - at(-1e-5)) / 2e-5;
      });
      expect(largestDifference(gradient, expected)).toBeLessThan(1e-9);
    }
  });
});

test("a complement below the floor is floored and has no gradient", async () => {
  // The first row's logits put everything but 1e-12 of the mass on its three targets.
  const hidden = new Float64Array(ROWS * HIDDEN);
  hidden[0] = 1;
  const head = new Float64Array(VOCABULARY * HIDDEN);
  for (const id of [1, 2, 3]) head[id * HIDDEN] = 28;
  const settings: Case = { hidden, head, tail: true, chunkRows: 8, logitCap: null };
  const withTail = await run(settings);
  const without = await run({ ...settings, tail: false });
  expect(withTail.complement_log![0]).toBeCloseTo(Math.log(COMPLEMENT_FLOOR), 12);
  expect(withTail.hidden_gradient!.slice(0, HIDDEN)).toEqual(without.hidden_gradient!.slice(0, HIDDEN));
});

test("in single precision a complement far below one part in a million keeps its digits", async () => {
  const hidden = Float64Array.of(1, 0, 0, ...new Array((ROWS - 1) * HIDDEN).fill(0));
  const head = new Float64Array(VOCABULARY * HIDDEN);
  for (const id of [1, 2, 3]) head[id * HIDDEN] = 14;
  const settings: Case = { hidden, head, tail: true, chunkRows: 8, logitCap: null };
  const found = await run(settings, "float32");
  const expected = definition(settings).complementLog[0]!;
  expect(expected).toBeLessThan(Math.log(2e-6));
  expect(Math.abs(found.complement_log![0]! - expected)).toBeLessThan(1e-5);
});

async function run(settings: Case, float: "float32" | "float64" = "float64"): Promise<Results> {
  const graph = createGraph();
  const hidden = input(graph, "hidden", [ROWS, HIDDEN], "float");
  const head = input(graph, "head", [VOCABULARY, HIDDEN], "float");
  const targets = {
    label: input(graph, "label", [ROWS], "int32"),
    labelWeight: input(graph, "label_weight", [ROWS], "float"),
    targetId: input(graph, "target_id", [ROWS, WIDTH], "int32"),
    targetWeight: input(graph, "target_weight", [ROWS, WIDTH], "float"),
    tailWeight: settings.tail ? input(graph, "tail_weight", [ROWS], "float") : null,
  };
  const loss = sparseCrossEntropy(hidden, head, targets, {
    chunkRows: settings.chunkRows,
    logitCap: settings.logitCap,
  });
  output(graph, "label_logp", loss.labelLogp);
  output(graph, "target_logp", loss.targetLogp);
  if (loss.complementLog !== null) output(graph, "complement_log", loss.complementLog);
  output(graph, "hidden_gradient", loss.hiddenGradient);
  output(graph, "head_gradient", loss.headGradient);
  const numbers = (values: ArrayLike<number>): Float32Array | Float64Array =>
    float === "float32" ? Float32Array.from(values) : Float64Array.from(values);
  const feeds: Record<string, Feed> = {
    hidden: [numbers(settings.hidden), [ROWS, HIDDEN]],
    head: [numbers(settings.head), [VOCABULARY, HIDDEN]],
    label: [Int32Array.from(LABEL), [ROWS]],
    label_weight: [numbers(LABEL_WEIGHT), [ROWS]],
    target_id: [Int32Array.from(TARGET_ID), [ROWS, WIDTH]],
    target_weight: [numbers(TARGET_WEIGHT), [ROWS, WIDTH]],
    tail_weight: [numbers(TAIL_WEIGHT), [ROWS]],
  };
  return runGraph(lowerGraph(graph, float), feeds);
}

/** The loss as the specification writes it, in plain loops. */
function definition({ hidden, head, tail, logitCap }: Case) {
  const labelLogp: number[] = [];
  const targetLogp: number[] = [];
  const complementLog: number[] = [];
  let loss = 0;
  for (let row = 0; row < ROWS; row++) {
    const logits = Array.from({ length: VOCABULARY }, (_, id) => {
      let dot = 0;
      for (let j = 0; j < HIDDEN; j++) dot += hidden[row * HIDDEN + j]! * head[id * HIDDEN + j]!;
      return logitCap === null ? dot : logitCap * Math.tanh(dot / logitCap);
    });
    const logSum = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    const logp = logits.map((logit) => logit - logSum);
    labelLogp.push(logp[LABEL[row]!]!);
    loss -= LABEL_WEIGHT[row]! * logp[LABEL[row]!]!;
    const outside = new Set(logits.keys());
    for (let k = row * WIDTH; k < (row + 1) * WIDTH; k++) {
      const id = TARGET_ID[k]!;
      targetLogp.push(logp[id]!);
      loss -= TARGET_WEIGHT[k]! * logp[id]!;
      if (TARGET_WEIGHT[k]! > 0) outside.delete(id);
    }
    const complement = [...outside].reduce((sum, id) => sum + Math.exp(logp[id]!), 0);
    complementLog.push(Math.log(Math.max(COMPLEMENT_FLOOR, complement)));
    if (tail) loss -= TAIL_WEIGHT[row]! * complementLog.at(-1)!;
  }
  return { labelLogp, targetLogp, complementLog, loss };
}

function largestDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(found.length).toBe(expected.length);
  let difference = 0;
  for (let i = 0; i < expected.length; i++) difference = Math.max(difference, Math.abs(found[i]! - expected[i]!));
  return difference;
}
