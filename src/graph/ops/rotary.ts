/**
 * Rotary position embedding (Su et al. 2021, eq. 34, in the half-split layout of Llama checkpoints): the pair
 * (x[i], x[i + size/2]) of a head turns by the angle `position * frequency[i]`. The inverse of a rotation is its
 * transpose, so the gradient is the same operation with the sine negated.
 */
import { addNode, constant, type Emitter, operation, sharedConstant, type Value } from "../graph.ts";

export interface RotaryTables {
  /** Cosine and sine of the angles, each [length, headSize / 2]; asked for once a graph. */
  readonly cosine: () => Float64Array;
  readonly sine: () => Float64Array;
  readonly headSize: number;
  readonly length: number;
  /** Tells tables apart within one graph. */
  readonly key: string;
}

/** `x` [batch * length, heads * headSize], every head of position t turned by the angles of row t. */
export function rotary(x: Value, tables: RotaryTables, direction: 1 | -1 = 1): Value {
  const { length, headSize } = tables;
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
        lowerFused(emit, [batch, length, width], [rows!, places, cos!, sin!], result!);
      } else {
        lowerPlain(emit, [batch, length, width / headSize, headSize], [rows!, cos!, sin!], result!);
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
  const { headSize } = tables;
  const [batch, length] = positions.shape as [number, number];
  const width = x.shape[1]!;
  return addNode(
    x.graph,
    [x, positions, ...tableValues(x, tables, 1)],
    [{ shape: x.shape, dtype: x.dtype }],
    (emit, [rows, places, cos, sin], [result]) => {
      if (emit.float === "float32") {
        lowerFused(emit, [batch, length, width], [rows!, places!, cos!, sin!], result!);
        return;
      }
      // Each row as a sequence of its own, whose one position has the looked-up angles.
      const looked = [cos!, sin!].map((table) => {
        const values = emit.temporary();
        emit.node("Gather", [table, places!], [values], { axis: { int: 0 } });
        return values;
      });
      lowerPlain(emit, [1, batch * length, width / headSize, headSize], [rows!, ...looked], result!);
    },
  )[0]!;
}

/** Cosines and sines [length, headSize / 2], once a graph. */
function tableValues(x: Value, tables: RotaryTables, direction: 1 | -1): [Value, Value] {
  const { length, headSize, key } = tables;
  const shape = [length, headSize / 2];
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
  shape: readonly number[],
  [rows, positions, cos, sin]: readonly string[],
  result: string,
): void {
  const [batch, length, width] = shape as [number, number, number];
  const shaped = emit.temporary();
  const turned = emit.temporary();
  emit.node("Reshape", [rows!, emit.constant(shape, [3], "int64")], [shaped]);
  emit.node("RotaryEmbedding", [shaped, positions!, cos!, sin!], [turned], {}, "com.microsoft");
  emit.node("Reshape", [turned, emit.constant([batch * length, width], [2], "int64")], [result]);
}

/** `(a, b) -> (a cos - b sin, b cos + a sin)` on the halves of every head. */
function lowerPlain(
  emit: Emitter,
  shape: readonly number[],
  [rows, cos, sin]: readonly string[],
  result: string,
): void {
  const [batch, length, heads, size] = shape as [number, number, number, number];
  const compute = (op: string, ...operands: string[]): string => {
    const value = emit.temporary();
    emit.node(op, operands, [value]);
    return value;
  };
  const integers = (...values: number[]): string => emit.constant(values, [values.length], "int64");
  const shaped = compute("Reshape", rows!, integers(...shape));
  const first = compute("Slice", shaped, integers(0), integers(size / 2), integers(3));
  const second = compute("Slice", shaped, integers(size / 2), integers(size), integers(3));
  const perPosition = integers(length, 1, size / 2);
  const c = compute("Reshape", cos!, perPosition);
  const s = compute("Reshape", sin!, perPosition);
  const halves = [
    compute("Sub", compute("Mul", first, c), compute("Mul", second, s)),
    compute("Add", compute("Mul", second, c), compute("Mul", first, s)),
  ];
  const joined = emit.temporary();
  emit.node("Concat", halves, [joined], { axis: { int: 3 } });
  emit.node("Reshape", [joined, integers(batch * length, heads * size)], [result]);
}
