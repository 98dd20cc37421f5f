/**
 * Rotary position embedding (Su et al. 2021, eq. 34): the pair (x[i], x[i + size/2]) of a head turns by the angle
 * `position * frequency[i]`, or, interleaved as in the paper, the pair (x[2i], x[2i + 1]). Where size is less than that of a
 * head, the rest of the head passes. The inverse of a rotation is its transpose, so the gradient is the same operation with
 * the sine negated, also where both are scaled.
 */
import { addNode, constant, type Emitter, operation, sharedConstant, type Value } from "../graph.ts";

export interface RotaryTables {
  /** Cosine and sine of the angles, each [length, turned / 2]; asked for once a graph. */
  readonly cosine: () => Float64Array;
  readonly sine: () => Float64Array;
  readonly headSize: number;
  /** Entries of a head that turn, from the first on. */
  readonly turned: number;
  readonly isInterleaved: boolean;
  readonly length: number;
  /** Tells tables apart within one graph. */
  readonly key: string;
}

/** `x` [batch * length, heads * headSize], every head of position t turned by the angles of row t. */
export function rotary(x: Value, tables: RotaryTables, direction: 1 | -1 = 1): Value {
  const { length } = tables;
  const width = x.shape[1]!;
  const batch = x.shape[0]! / length;
  const [cosine, sine] = tableValues(x, tables, direction);
  return operation(
    [x, cosine, sine],
    x.shape,
    (emit, [rows, cos, sin], [result]) => {
      if (emit.float === "float32") {
        const positions = Array.from({ length: batch * length }, (_, index) => index % length);
        const places = emit.constant(positions, [batch, length], "int64");
        lowerFused(emit, tables, [batch, length, width], [rows!, places, cos!, sin!], result!);
      } else {
        lowerPlain(emit, tables, [batch, length, width], [rows!, cos!, sin!], result!);
      }
    },
    (gradient) => [rotary(gradient, tables, direction === 1 ? -1 : 1), null, null],
  );
}

/**
 * `x` [batch * T, heads * headSize], row by row turned by the angles of its own position: `positions` int64 [batch, T],
 * each below the tables' length. Without a gradient.
 */
export function rotaryAt(x: Value, tables: RotaryTables, positions: Value): Value {
  const [batch, length] = positions.shape as [number, number];
  const width = x.shape[1]!;
  return addNode(
    x.graph,
    [x, positions, ...tableValues(x, tables, 1)],
    [{ shape: x.shape, dtype: x.dtype }],
    (emit, [rows, places, cos, sin], [result]) => {
      if (emit.float === "float32") {
        lowerFused(emit, tables, [batch, length, width], [rows!, places!, cos!, sin!], result!);
        return;
      }
      // Each row as a sequence of its own, whose one position has the looked-up angles.
      const looked = [cos!, sin!].map((table) => {
        const values = emit.temporary();
        emit.node("Gather", [table, places!], [values], { axis: { int: 0 } });
        return values;
      });
      lowerPlain(emit, tables, [1, batch * length, width], [rows!, ...looked], result!);
    },
  )[0]!;
}

/** Cosines and sines [length, turned / 2], once a graph. */
function tableValues(x: Value, tables: RotaryTables, direction: 1 | -1): [Value, Value] {
  const { length, turned, key } = tables;
  const shape = [length, turned / 2];
  const table = (kind: string, values: () => Float64Array): Value =>
    sharedConstant(x.graph, `rotary/${key}/${length}/${kind}`, () => constant(x.graph, values(), shape, "float"));
  const cosine = table("cosine", tables.cosine);
  const sine =
    direction === 1 ? table("sine", tables.sine) : table("-sine", () => tables.sine().map((value) => -value));
  return [cosine, sine];
}

/** One pass over memory, in single precision only. */
function lowerFused(
  emit: Emitter,
  { headSize, turned, isInterleaved }: RotaryTables,
  shape: readonly number[],
  [rows, positions, cos, sin]: readonly string[],
  result: string,
): void {
  const [batch, length, width] = shape as [number, number, number];
  const shaped = emit.temporary();
  const rotated = emit.temporary();
  const attributes = {
    ...(isInterleaved ? { interleaved: { int: 1 } } : {}),
    ...(turned < headSize ? { rotary_embedding_dim: { int: turned }, num_heads: { int: width / headSize } } : {}),
  };
  emit.node("Reshape", [rows!, emit.constant(shape, [3], "int64")], [shaped]);
  emit.node("RotaryEmbedding", [shaped, positions!, cos!, sin!], [rotated], attributes, "com.microsoft");
  emit.node("Reshape", [rotated, emit.constant([batch * length, width], [2], "int64")], [result]);
}

/** `(a, b) -> (a cos - b sin, b cos + a sin)` on the pairs of every head. */
function lowerPlain(
  emit: Emitter,
  { headSize, turned, isInterleaved }: RotaryTables,
  [batch, length, width]: readonly [number, number, number],
  [rows, cos, sin]: readonly string[],
  result: string,
): void {
  const heads = width / headSize;
  const compute = (op: string, operands: readonly string[], attributes = {}): string => {
    const value = emit.temporary();
    emit.node(op, operands, [value], attributes);
    return value;
  };
  const integers = (...values: number[]): string => emit.constant(values, [values.length], "int64");
  const cut = (x: string, axis: number, start: number, end: number): string =>
    compute("Slice", [x, integers(start), integers(end), integers(axis)]);
  const shaped = compute("Reshape", [rows!, integers(batch, length, heads, headSize)]);
  // The two entries of a pair lie along the last axis but one or along the last.
  const axis = isInterleaved ? 4 : 3;
  const pairs = [batch, length, heads, ...(isInterleaved ? [turned / 2, 2] : [2, turned / 2])];
  const paired = compute("Reshape", [cut(shaped, 3, 0, turned), integers(...pairs)]);
  const perPosition = integers(length, 1, ...pairs.slice(3).with(axis - 3, 1));
  const c = compute("Reshape", [cos!, perPosition]);
  const s = compute("Reshape", [sin!, perPosition]);
  const [first, second] = [cut(paired, axis, 0, 1), cut(paired, axis, 1, 2)];
  const halves = [
    compute("Sub", [compute("Mul", [first, c]), compute("Mul", [second, s])]),
    compute("Add", [compute("Mul", [second, c]), compute("Mul", [first, s])]),
  ];
  const joined = compute("Concat", halves, { axis: { int: axis } });
  const flat = compute("Reshape", [joined, integers(batch, length, heads, turned)]);
  const whole =
    turned === headSize ? flat : compute("Concat", [flat, cut(shaped, 3, turned, headSize)], { axis: { int: 3 } });
  emit.node("Reshape", [whole, integers(batch * length, width)], [result]);
}
