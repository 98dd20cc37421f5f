/** The gradients of the tails with respect to the logits, in float64, against finite differences. */
import { describe, expect, test } from "vitest";
import { createRandom } from "#src/random.js";

const IDS = 12;
const random = createRandom("tails");
const logits = Float64Array.from({ length: IDS }, () => random.normal());

interface Target {
  /** [IDS] */
  readonly q: Float64Array;
  readonly tail: number;
}

function softmax(z: Float64Array): Float64Array {
  const weights = z.map(Math.exp);
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** The fusion term of a row (docs/formats.md, "What training computes"). */
function loss(z: Float64Array, { q, tail }: Target): number {
  const p = softmax(z);
  const rest = p.reduce((sum, mass, id) => (q[id]! > 0 ? sum : sum + mass), 0);
  const term = q.reduce((sum, mass, id) => sum - (mass > 0 ? mass * Math.log(p[id]!) : 0), 0);
  return tail === 0 ? term : term - tail * Math.log(rest);
}

/** Of a target over all ids the gradient is `Q p - q`, Q its sum: what a tail comes to is a target as well. */
function gradientOf(z: Float64Array, q: Float64Array): Float64Array {
  const whole = q.reduce((a, b) => a + b, 0);
  return softmax(z).map((p, id) => whole * p - q[id]!);
}

function byDifferences(z: Float64Array, target: Target): Float64Array {
  const step = 1e-5;
  return z.map((_, id) => {
    const moved = (by: number) =>
      loss(
        z.map((value, at) => (at === id ? value + by : value)),
        target,
      );
    return (moved(step) - moved(-step)) / (2 * step);
  });
}

function expectClose(a: Float64Array, b: Float64Array): void {
  // Central differences of 1e-5 are right to about 1e-10.
  for (const [id, value] of a.entries()) expect(Math.abs(value - b[id]!)).toBeLessThan(1e-8);
}

/** The source says 0.5, 0.2 and 0.1 of three ids. */
const said = Float64Array.from({ length: IDS }, (_, id) => [0.5, 0.2, 0.1][id] ?? 0);

describe("the gradient", () => {
  test("of the bucket is that of a tail shaped as the trained model's own", () => {
    const p = softmax(logits);
    const rest = p.reduce((sum, mass, id) => (said[id]! > 0 ? sum : sum + mass), 0);
    const filled = said.map((q, id) => (q > 0 ? q : (0.2 * p[id]!) / rest));
    expectClose(gradientOf(logits, filled), byDifferences(logits, { q: said, tail: 0.2 }));
  });

  test("of the pivot's tail is that of the pivot's ids, and its own rest as a bucket", () => {
    // Of the 0.2 that are left the pivot has 0.15 on two ids of its own, and 0.05 beyond what it stores.
    const q = said.map((mass, id) => (id === 4 ? 0.1 : id === 7 ? 0.05 : mass));
    const p = softmax(logits);
    const rest = p.reduce((sum, mass, id) => (q[id]! > 0 ? sum : sum + mass), 0);
    const filled = q.map((mass, id) => (mass > 0 ? mass : (0.05 * p[id]!) / rest));
    expectClose(gradientOf(logits, filled), byDifferences(logits, { q, tail: 0.05 }));
  });
});
