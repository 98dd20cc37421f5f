/** Reading and writing by index. Indices are int32 or int64 values of the graph and carry no gradient. */
import { internalError } from "../../errors.ts";
import { addNode, constant, onnx, scalar, type Value } from "../graph.ts";
import { greater, where } from "./arithmetic.ts";
import { concat } from "./shape.ts";

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

/**
 * The gradient of `gatherRows` where no two rows that count share an index: `result[index[n]] = rows[n]`, [count, width],
 * zeros elsewhere; rows whose `weight` [n] is not positive are left out. The index is inverted and the rows are gathered
 * back, which runs at the speed of memory; the runtime's own adding scatter of rows does not.
 */
export function scatterRows(rows: Value, index: Value, weight: Value, count: number): Value {
  const { graph } = rows;
  const [size, width] = rows.shape as [number, number];
  const nowhere = constant(graph, new Int32Array(count).fill(size), [count], "int32");
  const ordinal = constant(
    graph,
    Int32Array.from({ length: size }, (_, row) => row),
    [size],
    "int32",
  );
  const place = where(greater(weight, scalar(graph, 0)), ordinal, constant(graph, [size], [1], "int32"));
  const inverse = addNode(
    graph,
    [nowhere, index, place],
    [{ shape: [count], dtype: "int32" }],
    onnx("ScatterElements", { axis: { int: 0 }, reduction: { string: "min" } }),
  )[0]!;
  const zero = constant(graph, new Float64Array(width), [1, width], "float");
  return gatherRows(concat([rows, zero], 0), inverse);
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
