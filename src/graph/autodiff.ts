/**
 * Reverse-mode differentiation: the tape is walked backwards once, every entry turning the gradient of its output into
 * contributions to its inputs (Griewank and Walther, "Evaluating Derivatives", chapter 3). The result is more nodes in
 * the same graph; what nobody reads is left out by the lowering.
 */
import { internalError } from "../errors.ts";
import { type Contribution, type Graph, sameShape, type Value, withoutTape } from "./graph.ts";
import { add } from "./ops/arithmetic.ts";

/**
 * Gradients of a scalar with respect to `wanted`, from its gradients with respect to `seeds` (pairs of a value and the
 * gradient there, of the same shape). Undefined where the scalar does not depend on a value.
 */
export function gradients(
  graph: Graph,
  seeds: readonly (readonly [Value, Value])[],
  wanted: readonly Value[],
): (Value | undefined)[] {
  return withoutTape(graph, () => {
    const sums = new Map<Value, Value>();
    const contribute = (value: Value, contribution: Contribution): void => {
      if (contribution === null) return;
      const sum = sums.get(value);
      const total =
        typeof contribution === "function" ? contribution(sum) : sum ? add(sum, contribution) : contribution;
      if (!sameShape(total.shape, value.shape)) {
        throw internalError(`the gradient of a value [${value.shape}] came out as [${total.shape}]`);
      }
      sums.set(value, total);
    };
    for (const [value, gradient] of seeds) contribute(value, gradient);
    for (const entry of graph.tape.toReversed()) {
      const gradient = sums.get(entry.output);
      if (gradient === undefined) continue;
      entry.gradient(gradient).forEach((contribution, index) => {
        contribute(entry.inputs[index]!, contribution);
      });
    }
    return wanted.map((value) => sums.get(value));
  });
}
