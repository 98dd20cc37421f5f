/** Operations that move elements without computing: reshape, transpose, slice, concatenate. */
import { internalError } from "../../errors.ts";
import { constant, elements, onnx, operation, sameShape, sharedConstant, type Value } from "../graph.ts";

/** The same elements in row-major order under another shape; the runtime copies nothing. */
export function reshape(a: Value, shape: readonly number[]): Value {
  if (sameShape(a.shape, shape)) return a;
  if (elements(shape) !== elements(a.shape)) throw internalError(`cannot reshape [${a.shape}] to [${shape}]`);
  return operation(
    [a],
    shape,
    (emit, [name], outputs) => emit.node("Reshape", [name!, emit.constant(shape, [shape.length], "int64")], outputs),
    (gradient) => [reshape(gradient, a.shape)],
  );
}

/** Axis i of the result is axis `order[i]` of `a`. */
export function transpose(a: Value, order: readonly number[]): Value {
  const shape = order.map((axis) => a.shape[axis]!);
  return operation([a], shape, onnx("Transpose", { perm: { ints: order } }), (gradient) => [
    transpose(
      gradient,
      order.map((_, axis) => order.indexOf(axis)),
    ),
  ]);
}

/** Entries `start` to `end` - 1 along one axis. */
export function slice(a: Value, axis: number, start: number, end: number): Value {
  const size = a.shape[axis]!;
  if (start === 0 && end === size) return a;
  if (start < 0 || end > size || start >= end) throw internalError(`no slice ${start}:${end} of [${a.shape}]`);
  const shape = a.shape.with(axis, end - start);
  return operation(
    [a],
    shape,
    (emit, [name], outputs) => {
      const bounds = [[start], [end], [axis]].map((bound) => emit.constant(bound, [1], "int64"));
      emit.node("Slice", [name!, ...bounds], outputs);
    },
    (gradient) => [padded(gradient, axis, start, size)],
  );
}

/** `a` as the entries from `start` on of an axis of this size, zeros elsewhere. */
export function padded(a: Value, axis: number, start: number, size: number): Value {
  const parts = [zeros(a, axis, start), a, zeros(a, axis, size - start - a.shape[axis]!)];
  return concat(
    parts.filter((part) => part !== undefined),
    axis,
  );
}

/** Parts one after another along one axis. */
export function concat(parts: readonly Value[], axis: number): Value {
  const [first, ...others] = parts;
  if (first === undefined) throw internalError("nothing to concatenate");
  if (others.length === 0) return first;
  const starts = [0];
  for (const part of parts) starts.push(starts.at(-1)! + part.shape[axis]!);
  const shape = first.shape.with(axis, starts.at(-1)!);
  return operation([first, ...others], shape, onnx("Concat", { axis: { int: axis } }), (gradient) =>
    parts.map((_, index) => slice(gradient, axis, starts[index]!, starts[index + 1]!)),
  );
}

/** Zeros shaped like `a` but for the size of one axis; nothing where that size is zero. */
function zeros(a: Value, axis: number, size: number): Value | undefined {
  if (size === 0) return undefined;
  const shape = a.shape.with(axis, size);
  return sharedConstant(a.graph, `zeros/${shape}`, () =>
    constant(a.graph, new Float64Array(elements(shape)), shape, "float"),
  );
}
