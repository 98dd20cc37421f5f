/**
 * Draws from rows of probabilities, as counts. Of K places `(j + u) / K`, j = 0 .. K-1, each goes to the id whose part of
 * the unit interval it falls into (systematic sampling; Kitagawa, "Monte Carlo filter and smoother", 1996, appendix): a
 * row needs one uniform number u, every id is drawn K p times in the mean, and never more than once off that. K
 * independent draws have the same mean and many times the variance.
 */
import { internalError } from "../../errors.ts";
import { addNode, type Value } from "../graph.ts";

/** ONNX element types. */
const FLOAT = 1;
const DOUBLE = 11;

/**
 * [rows, ids] how often each id is drawn, `count` in a row. `uniform` [rows, 1] is 0 up to below 1. Sums run in double
 * precision, where an id of probability 1e-12 still has its part of the interval. Without a gradient.
 */
export function drawCounts(probabilities: Value, uniform: Value, count: number): Value {
  const [rows, ids] = probabilities.shape as [number, number];
  if (uniform.shape[0] !== rows) throw internalError(`cannot draw [${probabilities.shape}] by [${uniform.shape}]`);
  return addNode(
    probabilities.graph,
    [probabilities, uniform],
    [{ shape: [rows, ids], dtype: "float" }],
    (emit, [p, u], [drawn]) => {
      // A double has the memory of two floats.
      const wide = (columns: number): string => emit.temporary([rows, 2 * columns]);
      const node = (op: string, inputs: readonly string[], columns: number): string => {
        const result = wide(columns);
        emit.node(op, inputs, [result]);
        return result;
      };
      const double = (input: string, columns: number): string => {
        const result = wide(columns);
        emit.node("Cast", [input], [result], { to: { int: DOUBLE } });
        return result;
      };
      const whole = (value: number): string => emit.constant([value], [1], "int64");
      const sums = node("CumSum", [double(p!, ids), emit.constant([1], [], "int64")], ids);
      const all = node("Slice", [sums, whole(ids - 1), whole(ids), whole(1)], 1);
      const places = node(
        "Mul",
        [node("Div", [sums, all], ids), double(emit.constant([count], [1, 1], "float"), 1)],
        ids,
      );
      const below = node("Ceil", [node("Sub", [places, double(u!, 1)], ids)], ids);
      const first = double(emit.constant(new Float32Array(rows), [rows, 1], "float"), 1);
      const before = wide(ids);
      emit.node("Concat", [first, node("Slice", [below, whole(0), whole(ids - 1), whole(1)], ids - 1)], [before], {
        axis: { int: 1 },
      });
      emit.node("Cast", [node("Sub", [below, before], ids)], [drawn!], {
        to: { int: emit.float === "float32" ? FLOAT : DOUBLE },
      });
    },
  )[0]!;
}
