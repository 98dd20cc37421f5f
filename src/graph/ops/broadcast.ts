/**
 * Broadcasting as in NumPy: shapes are aligned at the last axis, and a size of one (or a missing axis) stretches.
 * Stretching and summing are each other's gradient.
 */
import { internalError } from "../../errors.ts";
import { operation, sameShape, type Value } from "../graph.ts";
import { reshape } from "./shape.ts";

/** The shape two operands broadcast to. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const sizeA = a[axis - rank + a.length] ?? 1;
    const sizeB = b[axis - rank + b.length] ?? 1;
    if (sizeA !== sizeB && sizeA !== 1 && sizeB !== 1) {
      throw internalError(`shapes [${a}] and [${b}] do not broadcast`);
    }
    return sizeA === 1 ? sizeB : sizeA;
  });
}

/** `a` repeated to `shape`. */
export function expand(a: Value, shape: readonly number[]): Value {
  if (sameShape(a.shape, shape)) return a;
  return operation(
    [a],
    shape,
    (emit, [name], outputs) => emit.node("Expand", [name!, emit.constant(shape, [shape.length], "int64")], outputs),
    (gradient) => [sumTo(gradient, a.shape)],
  );
}

/** The sum over `axes`, which stay with size one. */
export function reduceSum(a: Value, axes: readonly number[]): Value {
  const shape = a.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  return operation(
    [a],
    shape,
    (emit, [name], outputs) => {
      const keep = { keepdims: { int: 1 } };
      emit.node("ReduceSum", [name!, emit.constant(axes, [axes.length], "int64")], outputs, keep);
    },
    (gradient) => [expand(gradient, a.shape)],
  );
}

/** The sum of a gradient over the axes along which an operand of shape `shape` was stretched. */
export function sumTo(gradient: Value, shape: readonly number[]): Value {
  if (sameShape(gradient.shape, shape)) return gradient;
  const missing = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((size, axis) => (axis < missing || shape[axis - missing] !== size ? [axis] : []));
  return reshape(reduceSum(gradient, axes), shape);
}
