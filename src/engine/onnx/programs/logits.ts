/** The program behind `logits`: every position of every sequence. */
import { output } from "../../../graph/graph.ts";
import { lowerGraph } from "../../../graph/lower.ts";
import { reshape } from "../../../graph/ops/shape.ts";
import type { Model } from "../../../models/index.ts";
import { buildNetwork, headLogits, type Program, type ProgramShape } from "./network.ts";

/** Input `ids` int32 [B, T]; output `logits` [B, T, V]. */
export function logitsProgram(model: Model, shape: ProgramShape): Program {
  const network = buildNetwork(model, shape);
  const logits = headLogits(network.hidden, network.head(), model.config.logitCap);
  output(network.graph, "logits", reshape(logits, [shape.batch, shape.length, model.config.vocabularySize]));
  return lowerGraph(network.graph, shape.float ?? "float32");
}
