/**
 * Soft capping (Gemma 2, section 2): `y = cap * tanh(x / cap)` keeps y within the cap, and its slope is
 * `1 - (y / cap)^2`, from the result alone.
 */
import { onnx, operation, scalar, type Value } from "../graph.ts";
import { multiply, scale, subtract } from "./arithmetic.ts";

/** A cap of null leaves `x` as it is. */
export function softCap(x: Value, cap: number | null): Value {
  return cap === null ? x : scale(tanh(scale(x, 1 / cap)), cap);
}

/** dy/dx, where `y` is the capped value. */
export function softCapSlope(y: Value, cap: number): Value {
  const share = scale(y, 1 / cap);
  return subtract(scalar(y.graph, 1), multiply(share, share));
}

export function tanh(x: Value): Value {
  const result = operation([x], x.shape, onnx("Tanh"), (gradient) => [
    multiply(gradient, subtract(scalar(x.graph, 1), multiply(result, result))),
  ]);
  return result;
}
