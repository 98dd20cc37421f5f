/**
 * The program of generation: it reads T new positions of B sequences, after C places of a key-value cache, and says
 * which tokens may follow the last one. C = 0 reads prompts, T = 1 is a step, T > 1 after C places reads a prompt too
 * long for one pass. Matrices lie in panels.
 */
import { type Graph, input, output, type Value } from "../../../graph/graph.ts";
import { lowerGraph } from "../../../graph/lower.ts";
import { cast } from "../../../graph/ops/arithmetic.ts";
import { gatherRows, topK } from "../../../graph/ops/indexing.ts";
import { softmax } from "../../../graph/ops/reduction.ts";
import { concat, reshape, slice } from "../../../graph/ops/shape.ts";
import { logSumExp } from "../../../graph/sparse-cross-entropy.ts";
import type { KeyValueCache } from "../../../models/architecture.ts";
import type { Model } from "../../../models/index.ts";
import { buildNetwork, headLogits, type Program, type ProgramShape } from "./network.ts";

export interface DecodeShape extends ProgramShape {
  /** C, the places of the cache; 0 where the pass begins its sequences. */
  readonly capacity: number;
  /** Ids from 0 on that may follow; at most V. */
  readonly allowed: number;
  /** The most probable of them, at most `allowed`. */
  readonly candidates: number;
  /** Whether log-probabilities are wanted, which are over the whole vocabulary; where absent they are not. */
  readonly logSum?: boolean;
}

/** Names of the inputs that hold one attention's part of the cache, [B * keyValueHeads, C, headSize]. */
export function cacheInputs(layer: number): { readonly key: string; readonly value: string } {
  return { key: `past_key.${layer}`, value: `past_value.${layer}` };
}

/**
 * Inputs `ids` int32 [B, T], `last` int32 [B] (flat index `b * T + t` of the position whose successor is wanted) and,
 * where C > 0, `filled` int32 [B] and those of `cacheInputs`. Outputs `logit` [B, candidates]; `candidate` int32
 * [B, candidates], descending by logit, ties to the lower id, unless all allowed ids are candidates, which then come in
 * their own order; `log_sum` [B] of all V logits where it is wanted; `fresh` [2 * layers, B, keyValueHeads, T, headSize]: key and value of every layer, keys turned.
 */
export function decodeProgram(model: Model, shape: DecodeShape): Program {
  const { batch, length, allowed, candidates } = shape;
  const fresh: Value[] = [];
  const { graph, hidden, head } = buildNetwork(model, shape, {
    cacheOf: (within) => graphCache(within, model, shape, fresh),
    panels: true,
  });
  const last = gatherRows(hidden, input(graph, "last", [batch], "int32"));
  const all = headLogits(last, head(), model.config.logitCap);
  if (shape.logSum) output(graph, "log_sum", reshape(logSumExp(all, softmax(all)), [batch]));
  const logits = slice(all, 1, 0, allowed);
  if (candidates < allowed) {
    const top = topK(logits, candidates);
    output(graph, "logit", top.values);
    output(graph, "candidate", cast(top.indices, "int32"));
  } else {
    output(graph, "logit", logits);
  }
  const { keyValueHeads, headSize } = model.config;
  output(graph, "fresh", reshape(concat(fresh, 0), [fresh.length, batch, keyValueHeads, length, headSize]));
  return lowerGraph(graph, shape.float ?? "float32");
}

/** The cache as inputs of the graph; what the layers keep goes to `fresh`. */
function graphCache(graph: Graph, { config }: Model, { batch, capacity }: DecodeShape, fresh: Value[]): KeyValueCache {
  const shape = [batch * config.keyValueHeads, capacity, config.headSize];
  let layer = 0;
  const next = () => {
    const { key, value } = cacheInputs(layer++);
    return { key: input(graph, key, shape, "float"), value: input(graph, value, shape, "float") };
  };
  return {
    past: capacity === 0 ? null : { capacity, filled: input(graph, "filled", [batch], "int32"), next },
    keep: (key, value) => {
      fresh.push(key, value);
    },
  };
}
