/**
 * An order between operations that do not read each other. The runtime runs nodes depth first from the results, so
 * parts of a program that were cut to save memory, as chunks of rows are, would otherwise be computed together.
 */
import { addNode, scalar, type Value } from "../graph.ts";
import { add, cast, greater } from "./arithmetic.ts";

/**
 * `x`, not before all of `earlier` are there: a zero that is made from one element of each is added to it. Floats only;
 * `x` should be small, and nothing here has a gradient.
 */
export function after(x: Value, earlier: readonly Value[]): Value {
  const { graph } = x;
  const corners = earlier.map(corner);
  const [largest] = addNode(graph, corners, [{ shape: [1], dtype: "float" }], (emit, inputs, outputs) =>
    emit.node("Max", inputs, outputs),
  );
  // Nothing is greater than infinity, yet the runtime cannot know that before the elements are there.
  return add(x, cast(greater(largest!, scalar(graph, Number.POSITIVE_INFINITY)), "float"));
}

/** [1], the first element. */
function corner(x: Value): Value {
  const axes = x.shape.map((_, axis) => axis);
  return addNode(x.graph, [x], [{ shape: [1], dtype: x.dtype }], (emit, [name], outputs) => {
    const list = (values: readonly number[]): string => emit.constant(values, [values.length], "int64");
    const first = emit.temporary();
    emit.node("Slice", [name!, list(axes.map(() => 0)), list(axes.map(() => 1)), list(axes)], [first]);
    emit.node("Reshape", [first, list([1])], outputs);
  })[0]!;
}
