/**
 * Sending every row to a few of several experts and putting their answers together (Shazeer et al. 2017, section 2.1;
 * Jiang et al. 2024, "Mixtral of Experts", section 2.1). A row takes one slot for each expert it chose; slots are
 * sorted by expert and, within one, by row, so that an expert's rows lie together. There are always rows * chosen
 * slots, which keeps shapes static; only where one expert's slots end is known at run time.
 *
 * Both directions are gathers: slots know their row, and rows know their slots. Nothing is ever added up by a scatter,
 * so that the same numbers come out on any number of threads.
 */
import {
  addNode,
  composite,
  constant,
  type Dtype,
  elements,
  type Graph,
  onnx,
  sharedConstant,
  type Value,
  withoutTape,
} from "../graph.ts";
import { add, divide, multiply, subtract } from "./arithmetic.ts";
import { reduceSum } from "./broadcast.ts";
import { gatherColumns, gatherRows, scatterColumns, topK } from "./indexing.ts";
import { softmax } from "./reduction.ts";
import { reshape, slice, transpose } from "./shape.ts";

export interface Routing {
  /** [rows, chosen] what each chosen expert's answer counts. */
  readonly weights: Value;
  /** [rows, chosen] int64: the slot of each choice. */
  readonly slots: Value;
  /** [rows * chosen] int64: the row of each slot. */
  readonly rows: Value;
  /** [experts] int64: how many slots each expert has. */
  readonly sizes: Value;
}

/**
 * The `chosen` most probable experts of every row under the softmax of `logits` [rows, experts], equally probable ones
 * by their index. Their probabilities are the weights, divided by their sum where `isNormalised`: with those w and their
 * gradients g, the gradient of a chosen expert's logit is then `w (g - sum g w)`, and that of any other is zero. Without
 * the division it is `p (g - sum g w)` of all experts, g being zero for those that are not chosen.
 */
export function route(logits: Value, chosen: number, isNormalised: boolean): Routing {
  const { graph } = logits;
  const probabilities = withoutTape(graph, () => softmax(logits));
  const { values, indices } = withoutTape(graph, () => topK(probabilities, chosen));
  const weights = composite([logits], () => {
    const output = isNormalised ? divide(values, reduceSum(values, [1])) : values;
    return {
      output,
      gradient: (gradient) => {
        const mean = reduceSum(multiply(gradient, output), [1]);
        if (!isNormalised) {
          const ofAll = scatterColumns(filled(graph, 0, logits.shape, "float"), indices, gradient, "none");
          return [multiply(probabilities, subtract(ofAll, mean))];
        }
        const ofChosen = multiply(output, subtract(gradient, mean));
        return [scatterColumns(filled(graph, 0, logits.shape, "float"), indices, ofChosen, "none")];
      },
    };
  });
  return { weights, ...withoutTape(graph, () => arrange(indices, logits.shape[1]!)) };
}

/** The slots of choices [rows, chosen], which differ within a row. */
function arrange(choices: Value, experts: number): Omit<Routing, "weights"> {
  const { graph } = choices;
  const [rows, chosen] = choices.shape as [number, number];
  const isChosen = scatterColumns(
    filled(graph, 0, [rows, experts], "int64"),
    choices,
    filled(graph, 1, choices.shape, "int64"),
    "none",
  );
  // [experts, rows], in which order the ones are the slots.
  const byExpert = transpose(isChosen, [1, 0]);
  const [places] = addNode(graph, [byExpert], [{ shape: [2, rows * chosen], dtype: "int64" }], onnx("NonZero"));
  const before = reshape(countBefore(reshape(byExpert, [experts * rows])), [experts, rows]);
  return {
    slots: gatherColumns(transpose(before, [1, 0]), choices),
    rows: reshape(slice(places!, 0, 1, 2), [rows * chosen]),
    sizes: reshape(reduceSum(byExpert, [1]), [experts]),
  };
}

/** The sum of what comes before each entry of a list. */
function countBefore(a: Value): Value {
  return addNode(a.graph, [a], [{ shape: a.shape, dtype: a.dtype }], (emit, [name], outputs) => {
    emit.node("CumSum", [name!, emit.constant([0], [], "int64")], outputs, { exclusive: { int: 1 } });
  })[0]!;
}

/** The row of every slot: `x` [rows, width] to [slots, width]. Its gradient is the sum over a row's slots. */
export function dispatch(x: Value, routing: Routing): Value {
  return composite([x], () => ({
    output: gatherRows(x, routing.rows),
    gradient: (gradient) => [
      slotsOf(routing)
        .map((slots) => gatherRows(gradient, slots))
        .reduce(add),
    ],
  }));
}

/** The weighted sum of a row's slots: `y` [slots, width] to [rows, width]. */
export function combine(y: Value, routing: Routing): Value {
  const { graph } = y;
  const { weights, slots, rows } = routing;
  const [count, chosen] = weights.shape as [number, number];
  return composite([y, weights], () => {
    const summands = slotsOf(routing).map((ofChoice, choice) =>
      multiply(gatherRows(y, ofChoice), slice(weights, 1, choice, choice + 1)),
    );
    return {
      output: summands.reduce(add),
      gradient: (gradient) => {
        const perSlot = gatherRows(gradient, rows);
        const slotWeights = addNode(
          graph,
          [filled(graph, 0, rows.shape, "float"), reshape(slots, rows.shape), reshape(weights, rows.shape)],
          [{ shape: rows.shape, dtype: "float" }],
          onnx("ScatterElements", { axis: { int: 0 } }),
        )[0]!;
        const products = reduceSum(multiply(perSlot, y), [1]);
        return [
          multiply(perSlot, reshape(slotWeights, [count * chosen, 1])),
          reshape(gatherRows(reshape(products, rows.shape), slots), weights.shape),
        ];
      },
    };
  });
}

/** For the first choice of every row, the second, ...: the slot [rows]. */
function slotsOf({ slots }: Routing): Value[] {
  const [rows, chosen] = slots.shape as [number, number];
  return Array.from({ length: chosen }, (_, choice) => reshape(slice(slots, 1, choice, choice + 1), [rows]));
}

/** A constant of one value, the same for the same shape. */
function filled(graph: Graph, value: number, shape: readonly number[], dtype: Dtype): Value {
  return sharedConstant(graph, `filled/${value}/${dtype}/${shape}`, () =>
    constant(graph, new Float64Array(elements(shape)).fill(value), shape, dtype),
  );
}
