/**
 * Products with matrices that lie in panels: 32 rows of the checkpoint's layout [out, in] beside each other, [out / 32, in, 32],
 * so that a product reads memory in one stream (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication", whose
 * packed operand this is). The runtime's product of one row by [out, in] reads several rows at once and begins anew after a few of them,
 * at half the speed. Without a gradient.
 */
import { internalError } from "../../errors.ts";
import { addNode, type Emitter, elements, type Value } from "../graph.ts";

/** For one row 16 and 64 are within a tenth of it; 128 is half as fast. */
export const PANEL_WIDTH = 32;

/** Up to so many rows are products of one row each, which read a panel again from the nearest cache. */
const MOST_SINGLE_ROWS = 4;

/** The shape of a matrix [out, in] in panels; null where its rows do not fill them. */
export function panelShape([out, inner]: readonly [number, number]): readonly number[] | null {
  return out % PANEL_WIDTH === 0 ? [out / PANEL_WIDTH, 1, inner, PANEL_WIDTH] : null;
}

/** `x` [rows, in] by a matrix in panels: [rows, out]. */
export function panelProduct(x: Value, panels: Value): Value {
  const [rows, inner] = x.shape as [number, number];
  const [count, , innerB, width] = panels.shape as [number, number, number, number];
  if (inner !== innerB) throw internalError(`no product of [${x.shape}] and panels [${panels.shape}]`);
  const shape = [rows, count * width];
  return addNode(x.graph, [x, panels], [{ shape, dtype: x.dtype }], (emit, [left, right], [result]) => {
    const single = rows > 1 && rows <= MOST_SINGLE_ROWS;
    const operand = single ? reshaped(emit, left!, [1, rows, 1, inner]) : left!;
    const product = emit.temporary();
    emit.node("MatMul", [operand, right!], [product]);
    // [panels, rows, 1, width], or [panels, 1, rows, width].
    const perm = single ? [1, 0, 2, 3] : [2, 0, 1, 3];
    let rowsFirst = product;
    if (rows > 1) {
      rowsFirst = emit.temporary();
      emit.node("Transpose", [product], [rowsFirst], { perm: { ints: perm } });
    }
    emit.node("Reshape", [rowsFirst, emit.constant(shape, [2], "int64")], [result!]);
  })[0]!;
}

/** Rows of a matrix [out, in] in panels by int32 `index` [n]: [n, in]. */
export function gatherPanelRows(panels: Value, index: Value): Value {
  const [, , inner, width] = panels.shape as [number, number, number, number];
  const rows = elements(index.shape);
  const shape = [rows, inner];
  // Row r lies from r / width * inner * width + r % width on, in steps of `width`.
  return addNode(panels.graph, [panels, index], [{ shape, dtype: panels.dtype }], (emit, [matrix, ids], [result]) => {
    const integer = (value: number): string => emit.constant([value], [1], "int64");
    const compute = (op: string, operands: readonly string[], attributes = {}): string => {
      const value = emit.temporary([rows]);
      emit.node(op, operands, [value], attributes);
      return value;
    };
    // Heads have more than 2^31 entries.
    const row = compute("Cast", [ids!], { to: { int: 7 } });
    const panel = compute("Div", [row, integer(width)]);
    const first = compute("Add", [row, compute("Mul", [panel, integer((inner - 1) * width)])]);
    const column = emit.constant([rows, 1], [2], "int64");
    const steps = emit.constant(
      Array.from({ length: inner }, (_, k) => k * width),
      [1, inner],
      "int64",
    );
    const places = emit.temporary(shape);
    emit.node("Add", [compute("Reshape", [first, column]), steps], [places]);
    const flat = reshaped(emit, matrix!, [elements(panels.shape)]);
    emit.node("Gather", [flat, places], [result!], { axis: { int: 0 } });
  })[0]!;
}

function reshaped(emit: Emitter, value: string, shape: readonly number[]): string {
  const result = emit.temporary(shape);
  emit.node("Reshape", [value, emit.constant(shape, [shape.length], "int64")], [result]);
  return result;
}

/** Puts a matrix [out, in] into panels, in its own memory; or back. A panel takes the place of the rows that it is made of. */
export function arrangePanels(matrix: Float32Array, inner: number, direction: "panels" | "rows"): void {
  const size = PANEL_WIDTH * inner;
  const part = new Float32Array(size);
  for (let start = 0; start < matrix.length; start += size) {
    part.set(matrix.subarray(start, start + size));
    for (let row = 0; row < PANEL_WIDTH; row++) {
      if (direction === "panels") {
        for (let k = 0; k < inner; k++) matrix[start + k * PANEL_WIDTH + row] = part[row * inner + k]!;
      } else {
        for (let k = 0; k < inner; k++) matrix[start + row * inner + k] = part[k * PANEL_WIDTH + row]!;
      }
    }
  }
}
