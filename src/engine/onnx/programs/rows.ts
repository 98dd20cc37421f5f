/** The program of teacher passes: the distributions of chosen rows. */
import { input, output, type Value } from "../../../graph/graph.ts";
import { lowerGraph } from "../../../graph/lower.ts";
import { after } from "../../../graph/ops/after.ts";
import { cast, greater, subtract } from "../../../graph/ops/arithmetic.ts";
import { reduceSum } from "../../../graph/ops/broadcast.ts";
import { drawCounts } from "../../../graph/ops/draw.ts";
import { gatherColumns, gatherRows, topK } from "../../../graph/ops/indexing.ts";
import { softmax } from "../../../graph/ops/reduction.ts";
import { concat, reshape, slice } from "../../../graph/ops/shape.ts";
import { logSumExp } from "../../../graph/sparse-cross-entropy.ts";
import type { Model } from "../../../models/index.ts";
import { buildNetwork, chunkRows, headLogits, type Program, type ProgramShape } from "./network.ts";

export interface RowsShape extends ProgramShape {
  readonly rows: number;
  readonly topK: number;
  /** Whether each label's rank is wanted, another pass over the logits; where absent it is not. */
  readonly ranks?: boolean;
  /** Whether K ids are drawn instead. */
  readonly drawn?: boolean;
  /** Whether matrices lie in panels; where absent they do not. */
  readonly panels?: boolean;
}

/**
 * Inputs `ids` int32 [B, T], `row_index` int32 [N], `label` int32 [N]; outputs `label_logp` [N], and the most probable
 * ids under the full softmax, `top_id` int32 [N, K] and `top_logp` [N, K], descending, ties to the lower id. Where ranks are
 * wanted `ahead` [N], how many logits are larger than the label's. Of drawn rows, by `uniform` [N, 1], the ids that were
 * drawn and `top_count` [N, K], 0 in unused places, in place of `top_logp`.
 */
export function rowsProgram(model: Model, shape: RowsShape): Program {
  const { rows, panels = false } = shape;
  const network = buildNetwork(model, shape, { panels });
  const { graph } = network;
  const index = input(graph, "row_index", [rows], "int32");
  const label = reshape(input(graph, "label", [rows], "int32"), [rows, 1]);
  const uniform = shape.drawn === true ? input(graph, "uniform", [rows, 1], "float") : null;
  const top = topRows(model, gatherRows(network.hidden, index), network.head(), { label, uniform }, shape);
  output(graph, "label_logp", top.labelLogp);
  output(graph, "top_id", top.topId);
  output(graph, shape.drawn === true ? "top_count" : "top_logp", top.topValue);
  if (shape.ranks) output(graph, "ahead", reshape(top.ahead, [rows]));
  return lowerGraph(graph, shape.float ?? "float32");
}

/** Rows are drawn in as many parts of a chunk, so that memory stays what it is. */
const DRAWN_PARTS = 4;

interface TopRows {
  /** [N] */
  readonly labelLogp: Value;
  /** [N, K] int32 */
  readonly topId: Value;
  /** [N, K] log-probabilities, or how often an id was drawn. */
  readonly topValue: Value;
  /** [N] */
  readonly ahead: Value;
}

/** What each row is asked, [N, 1]: its label, and the number that it is drawn by. */
interface Asked {
  readonly label: Value;
  readonly uniform: Value | null;
}

/** `hidden` [N, hidden] is what the head reads. Logits exist for a chunk of rows at a time. */
function topRows(model: Model, hidden: Value, head: Value, { label, uniform }: Asked, shape: RowsShape): TopRows {
  const rows = hidden.shape[0]!;
  const parts: TopRows[] = [];
  // Drawing holds three arrays of doubles as large as the logits.
  const step = uniform === null ? chunkRows(model) : Math.ceil(chunkRows(model) / DRAWN_PARTS);
  for (let start = 0; start < rows; start += step) {
    const end = Math.min(start + step, rows);
    const chunk = slice(hidden, 0, start, end);
    const before = parts.at(-1);
    const ordered = before === undefined ? chunk : after(chunk, [before.labelLogp, before.topValue]);
    const logits = headLogits(ordered, head, model.config.logitCap);
    const probabilities = softmax(logits);
    const logSum = logSumExp(logits, probabilities);
    const scores = uniform === null ? logits : drawCounts(probabilities, slice(uniform, 0, start, end), shape.topK);
    const top = topK(scores, shape.topK);
    const labelLogit = gatherColumns(logits, slice(label, 0, start, end));
    const labelLogp = subtract(labelLogit, logSum);
    parts.push({
      labelLogp,
      topId: cast(top.indices, "int32"),
      topValue: uniform === null ? subtract(top.values, logSum) : top.values,
      ahead: shape.ranks ? reduceSum(cast(greater(logits, labelLogit), "float"), [1]) : labelLogp,
    });
  }
  const joined = (part: keyof TopRows): Value =>
    concat(
      parts.map((chunk) => chunk[part]),
      0,
    );
  return {
    labelLogp: reshape(joined("labelLogp"), [rows]),
    topId: joined("topId"),
    topValue: joined("topValue"),
    ahead: joined("ahead"),
  };
}
