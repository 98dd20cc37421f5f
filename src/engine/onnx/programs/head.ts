/**
 * The head over a block of the vocabulary. Distributions over the whole vocabulary come from those of its blocks
 * exactly: sums of exponentials add up, and the most probable ids are among the most probable of each block.
 */
import { createGraph, input, output } from "../../../graph/graph.ts";
import { lowerGraph } from "../../../graph/lower.ts";
import { cast } from "../../../graph/ops/arithmetic.ts";
import { gatherColumns, topK } from "../../../graph/ops/indexing.ts";
import { softmax } from "../../../graph/ops/reduction.ts";
import { reshape } from "../../../graph/ops/shape.ts";
import { logSumExp } from "../../../graph/sparse-cross-entropy.ts";
import type { Model } from "../../../models/index.ts";
import { headLogits, type Program } from "./network.ts";

export interface HeadShape {
  readonly rows: number;
  /** Ids in the block. */
  readonly block: number;
}

/**
 * Inputs `x` [N, hidden], `head` [block, hidden] and `label` int32 [N], counted within the block; outputs
 * `log_sum` [N] of the exponentials, `label_logit` [N], `top_id` int32 [N, K] within the block and `top_logit` [N, K],
 * descending, ties to the lower id.
 */
export function headRowsProgram(model: Model, shape: HeadShape & { readonly topK: number }): Program {
  const { rows } = shape;
  const { graph, logits } = blockLogits(model, shape);
  const label = reshape(input(graph, "label", [rows], "int32"), [rows, 1]);
  const top = topK(logits, shape.topK);
  output(graph, "log_sum", reshape(logSumExp(logits, softmax(logits)), [rows]));
  output(graph, "label_logit", reshape(gatherColumns(logits, label), [rows]));
  output(graph, "top_id", cast(top.indices, "int32"));
  output(graph, "top_logit", top.values);
  return lowerGraph(graph, "float32");
}

/** Inputs `x` [N, hidden] and `head` [block, hidden]; output `logits` [N, block]. */
export function headLogitsProgram(model: Model, shape: HeadShape): Program {
  const { graph, logits } = blockLogits(model, shape);
  output(graph, "logits", logits);
  return lowerGraph(graph, "float32");
}

function blockLogits(model: Model, { rows, block }: HeadShape) {
  const { hiddenSize, logitCap } = model.config;
  const graph = createGraph();
  const x = input(graph, "x", [rows, hiddenSize], "float");
  const head = input(graph, "head", [block, hiddenSize], "float");
  return { graph, logits: headLogits(x, head, logitCap) };
}
