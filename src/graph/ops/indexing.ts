/** Reading and writing by index. Indices are int32 or int64 values of the graph and carry no gradient. */
import { internalError } from "../../errors.ts";
import { addNode, onnx, type Value } from "../graph.ts";

/**
 * Rows of `table` [rows, width] by `index` [n]: [n, width]. Without a gradient: where one is needed, of an embedding
 * or of the rows a loss reads, scattering outside the runtime or gathering back is several times faster than its scatter.
 */
export function gatherRows(table: Value, index: Value): Value {
  const shape = [...index.shape, ...table.shape.slice(1)];
  return addNode(
    table.graph,
    [table, index],
    [{ shape, dtype: table.dtype }],
    onnx("Gather", { axis: { int: 0 } }),
  )[0]!;
}

/** `result[r, k] = a[r, index[r, k]]`. Without a gradient. */
export function gatherColumns(a: Value, index: Value): Value {
  return addNode(
    a.graph,
    [a, index],
    [{ shape: index.shape, dtype: a.dtype }],
    onnx("GatherElements", { axis: { int: 1 } }),
  )[0]!;
}

/**
 * `a` [rows, columns] with `updates[r, k]` put at, added to, or multiplied into `a[r, index[r, k]]`. Entries that meet
 * on one place all count, except under `none`, where the place then has one of them. Without a gradient.
 */
export function scatterColumns(a: Value, index: Value, updates: Value, reduction: "none" | "add" | "mul"): Value {
  if (a.shape[0] !== index.shape[0]) throw internalError(`cannot scatter [${index.shape}] into [${a.shape}]`);
  return addNode(
    a.graph,
    [a, index, updates],
    [{ shape: a.shape, dtype: a.dtype }],
    onnx("ScatterElements", { axis: { int: 1 }, reduction: { string: reduction } }),
  )[0]!;
}

/**
 * The `count` largest entries of each row, descending, equal ones by their index: values [rows, count] and int64
 * indices [rows, count]. Without a gradient.
 */
export function topK(a: Value, count: number): { readonly values: Value; readonly indices: Value } {
  const shape = a.shape.with(-1, count);
  const [values, indices] = addNode(
    a.graph,
    [a],
    [
      { shape, dtype: a.dtype },
      { shape, dtype: "int64" },
    ],
    (emit, [name], outputs) => emit.node("TopK", [name!, emit.constant([count], [1], "int64")], outputs),
  );
  return { values: values!, indices: indices! };
}
