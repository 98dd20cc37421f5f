/**
 * A value cut into parts along one axis; the gradient is the parts' gradients side by side. They arrive one at a time,
 * so a sum over zero-padded parts is kept until the last is there and one concatenation takes its place; the lowering
 * leaves out what was replaced. Padding would cost a pass over the whole value for every part.
 */
import { internalError } from "../../errors.ts";
import { addNode, composite, type Value } from "../graph.ts";
import { add } from "./arithmetic.ts";
import { concat, padded } from "./shape.ts";

/** Parts of these sizes, which add up to that of the axis. */
export function split(a: Value, axis: number, sizes: readonly number[]): readonly Value[] {
  if (sizes.reduce((sum, size) => sum + size, 0) !== a.shape[axis]) {
    throw internalError(`no split of [${a.shape}] into ${sizes} along axis ${axis}`);
  }
  const outputs = sizes.map((size) => ({ shape: a.shape.with(axis, size), dtype: a.dtype }));
  const parts = addNode(a.graph, [a], outputs, (emit, [name], names) => {
    emit.node("Split", [name!, emit.constant(sizes, [sizes.length], "int64")], names, { axis: { int: axis } });
  });
  const collect = collector(a, axis, sizes);
  return parts.map((part, index) =>
    composite([a], () => ({ output: part, gradient: (gradient) => [(sum) => collect(index, gradient, sum)] })),
  );
}

/** The parts' gradients that one sum consists of, and what it was before the first of them. */
interface Partial {
  readonly before: Value | undefined;
  readonly gradients: readonly (Value | undefined)[];
}

/** Adds the gradient of a part to the gradient of the whole so far. */
function collector(a: Value, axis: number, sizes: readonly number[]) {
  const partials = new WeakMap<Value, Partial>();
  return (index: number, gradient: Value, sum: Value | undefined): Value => {
    const known = (sum === undefined ? undefined : partials.get(sum)) ?? {
      before: sum,
      gradients: sizes.map(() => undefined),
    };
    const gradients = known.gradients.with(index, gradient);
    if (gradients.every((part) => part !== undefined)) {
      const whole = concat(gradients, axis);
      return known.before === undefined ? whole : add(known.before, whole);
    }
    const start = sizes.slice(0, index).reduce((before, size) => before + size, 0);
    const alone = padded(gradient, axis, start, a.shape[axis]!);
    const total = sum === undefined ? alone : add(sum, alone);
    partials.set(total, { before: known.before, gradients });
    return total;
  };
}
