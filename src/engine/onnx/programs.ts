/**
 * The programs the engine runs, each a pure function from a model and a static shape to the bytes of an ONNX model.
 * Every weight is an input under its checkpoint name and in its checkpoint layout, so one session serves all steps.
 *
 * Legend: B sequences, T positions each (padded on the right), N rows, V vocabulary, W target width, K kept entries.
 * A row is addressed by the flat index `b * T + t` of the hidden state before its label.
 */
import { gradients } from "../../graph/autodiff.ts";
import { createGraph, type FloatType, type Graph, input, output, type Value } from "../../graph/graph.ts";
import { lowerGraph } from "../../graph/lower.ts";
import { cast, subtract } from "../../graph/ops/arithmetic.ts";
import { gatherColumns, gatherRows, scatterRows, topK } from "../../graph/ops/indexing.ts";
import { gemm } from "../../graph/ops/matmul.ts";
import { softmax } from "../../graph/ops/reduction.ts";
import { concat, reshape, slice } from "../../graph/ops/shape.ts";
import { logSumExp, sparseCrossEntropy } from "../../graph/sparse-cross-entropy.ts";
import type { Model } from "../../models/index.ts";

export interface Program {
  readonly onnx: Uint8Array;
  /** Names of the inputs the program reads, data and weights. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface ProgramShape {
  readonly batch: number;
  readonly length: number;
  /** Precision of every float inside and at the border; float32 where absent. float64 is for checks. */
  readonly float?: FloatType;
}

/** Input `ids` int32 [B, T]; output `logits` [B, T, V]. */
export function logitsProgram(model: Model, shape: ProgramShape): Program {
  const network = buildNetwork(model, shape);
  const logits = gemm(network.hidden, network.head(), { transB: true });
  output(network.graph, "logits", reshape(logits, [shape.batch, shape.length, model.config.vocabularySize]));
  return lowerGraph(network.graph, shape.float ?? "float32");
}

export interface RowsShape extends ProgramShape {
  readonly rows: number;
  readonly topK: number;
}

/**
 * Inputs `ids` int32 [B, T], `row_index` int32 [N], `label` int32 [N]; outputs `label_logp` [N], and the most probable
 * ids under the full softmax, `top_id` int32 [N, K] and `top_logp` [N, K], descending, ties to the lower id.
 */
export function rowsProgram(model: Model, shape: RowsShape): Program {
  const { rows } = shape;
  const network = buildNetwork(model, shape);
  const { graph } = network;
  const index = input(graph, "row_index", [rows], "int32");
  const label = reshape(input(graph, "label", [rows], "int32"), [rows, 1]);
  const hidden = gatherRows(network.hidden, index);
  const head = network.head();
  const parts: { labelLogp: Value; topId: Value; topLogp: Value }[] = [];
  const step = chunkRows(model);
  for (let start = 0; start < rows; start += step) {
    const end = Math.min(start + step, rows);
    const logits = gemm(slice(hidden, 0, start, end), head, { transB: true });
    const logSum = logSumExp(logits, softmax(logits));
    const top = topK(logits, shape.topK);
    parts.push({
      labelLogp: subtract(gatherColumns(logits, slice(label, 0, start, end)), logSum),
      topId: cast(top.indices, "int32"),
      topLogp: subtract(top.values, logSum),
    });
  }
  const joined = (part: keyof (typeof parts)[0]): Value =>
    concat(
      parts.map((chunk) => chunk[part]),
      0,
    );
  output(graph, "label_logp", reshape(joined("labelLogp"), [rows]));
  output(graph, "top_id", joined("topId"));
  output(graph, "top_logp", joined("topLogp"));
  return lowerGraph(graph, shape.float ?? "float32");
}

export interface TrainingShape extends ProgramShape {
  readonly rows: number;
  /** Width W of the sparse target, at least 1. */
  readonly width: number;
  /** Whether the loss has the tail bucket. */
  readonly tail: boolean;
}

/** Prefix of the outputs that are gradients of weights. */
export const GRADIENT_PREFIX = "grad.";

/**
 * Forward and backward of one micro-batch. The loss is the sum over rows of `label_weight * -logp(label) +
 * sum_k target_weight * -logp(target_id) + tail_weight * -log(complement)`, the complement being the probability of
 * all ids whose target weight is not positive, floored at 1e-7 (without a gradient there). A padded row has only zero
 * weights; every other row has an index of its own.
 *
 * Inputs: `ids` int32 [B, T], `row_index` and `label` int32 [N], `label_weight` [N], `target_id` int32 [N, W],
 * `target_weight` [N, W] and, with a tail, `tail_weight` [N].
 * Outputs: `label_logp` [N], `target_logp` [N, W], with a tail `complement_log` [N]; `grad.<name>` of every weight but
 * the embedding; `grad_embedded` [B * T, hidden], which the engine adds up by id. A tied head's `grad.<embedding>` is
 * the head's part alone.
 */
export function trainingProgram(model: Model, shape: TrainingShape): Program {
  const { rows, width } = shape;
  const network = buildNetwork(model, shape);
  const { graph, hidden } = network;
  const index = input(graph, "row_index", [rows], "int32");
  const targets = {
    label: input(graph, "label", [rows], "int32"),
    labelWeight: input(graph, "label_weight", [rows], "float"),
    targetId: input(graph, "target_id", [rows, width], "int32"),
    targetWeight: input(graph, "target_weight", [rows, width], "float"),
    tailWeight: shape.tail ? input(graph, "tail_weight", [rows], "float") : null,
  };
  const head = network.head();
  const loss = sparseCrossEntropy(gatherRows(hidden, index), head, targets, chunkRows(model));
  output(graph, "label_logp", loss.labelLogp);
  output(graph, "target_logp", loss.targetLogp);
  if (loss.complementLog !== null) output(graph, "complement_log", loss.complementLog);

  const weights = [...network.weights];
  const hiddenGradient = scatterRows(loss.hiddenGradient, index, loss.rowWeight, hidden.shape[0]!);
  const seeds = [
    [hidden, hiddenGradient],
    [head, loss.headGradient],
  ] as const;
  const [embedded, ...others] = gradients(graph, seeds, [network.embedded, ...weights.map(([, value]) => value)]);
  output(graph, "grad_embedded", embedded!);
  weights.forEach(([name], position) => {
    const gradient = others[position];
    if (gradient !== undefined) output(graph, `${GRADIENT_PREFIX}${name}`, gradient);
  });
  return lowerGraph(graph, shape.float ?? "float32");
}

interface BuiltNetwork {
  readonly graph: Graph;
  /** [B * T, hidden], looked up. */
  readonly embedded: Value;
  /** [B * T, hidden], what the head reads. */
  readonly hidden: Value;
  /** [V, hidden] */
  readonly head: () => Value;
  /** Every weight asked for so far, by its checkpoint name. */
  readonly weights: ReadonlyMap<string, Value>;
}

function buildNetwork(model: Model, { batch, length }: ProgramShape): BuiltNetwork {
  const { vocabularySize, hiddenSize } = model.config;
  const graph = createGraph();
  const weights = new Map<string, Value>();
  const weight = (name: string, shape: readonly number[]): Value => {
    const known = weights.get(name) ?? input(graph, name, shape, "float");
    weights.set(name, known);
    return known;
  };
  const ids = reshape(input(graph, "ids", [batch, length], "int32"), [batch * length]);
  const embedded = gatherRows(weight(model.embedding, [vocabularySize, hiddenSize]), ids);
  const hidden = model.forward({ graph, batch, length, weight }, embedded);
  return { graph, embedded, hidden, head: () => weight(model.head, [vocabularySize, hiddenSize]), weights };
}

/** Logits of a chunk of rows, at most 32 MB of single precision, within bounds at which the products stay fast. */
function chunkRows(model: Model): number {
  return Math.min(512, Math.max(64, Math.floor(2 ** 23 / model.config.vocabularySize)));
}
