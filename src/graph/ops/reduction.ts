/** Sums of squares, largest entries and the softmax. Reduced axes stay, with size one. */
import { addNode, type Lowering, onnx, operation, type Value } from "../graph.ts";
import { multiply, scale, subtract } from "./arithmetic.ts";
import { reduceSum } from "./broadcast.ts";

/** The sum of squares over `axes`. */
export function reduceSumSquare(a: Value, axes: readonly number[]): Value {
  return operation([a], reduced(a, axes), reduction("ReduceSumSquare", axes), (gradient) => [
    multiply(scale(a, 2), gradient),
  ]);
}

/** The largest entry over `axes`. Without a gradient. */
export function reduceMax(a: Value, axes: readonly number[]): Value {
  return addNode(a.graph, [a], [{ shape: reduced(a, axes), dtype: a.dtype }], reduction("ReduceMax", axes))[0]!;
}

/** Probabilities along the last axis. */
export function softmax(a: Value): Value {
  const result = operation([a], a.shape, onnx("Softmax", { axis: { int: -1 } }), (gradient) => {
    const mean = reduceSum(multiply(gradient, result), [a.shape.length - 1]);
    return [multiply(result, subtract(gradient, mean))];
  });
  return result;
}

function reduction(op: string, axes: readonly number[]): Lowering {
  return (emit, [name], outputs) => {
    emit.node(op, [name!, emit.constant(axes, [axes.length], "int64")], outputs, { keepdims: { int: 1 } });
  };
}

function reduced(a: Value, axes: readonly number[]): number[] {
  return a.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
}
