/** The program of training: loss and gradients of one micro-batch. */
import { gradients } from "../../../graph/autodiff.ts";
import { input, output } from "../../../graph/graph.ts";
import { lowerGraph } from "../../../graph/lower.ts";
import { gatherRows, scatterRows } from "../../../graph/ops/indexing.ts";
import { sparseCrossEntropy } from "../../../graph/sparse-cross-entropy.ts";
import type { Model } from "../../../models/index.ts";
import { buildNetwork, chunkRows, type Program, type ProgramShape } from "./network.ts";

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
  const loss = sparseCrossEntropy(gatherRows(hidden, index), head, targets, {
    chunkRows: chunkRows(model),
    logitCap: model.config.logitCap,
  });
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
