/**
 * What an architecture is: a name, and a function that reads a checkpoint's `config.json` into a network. The network's
 * forward function asks for every weight by its checkpoint name and shape at the place where it is used, so that the
 * list of weights, their shapes and the graph cannot drift apart.
 */
import type { Graph, Value } from "../graph/graph.ts";
import type { ConfigFields } from "./config-fields.ts";

export interface Architecture {
  /** The `model_type` of `config.json`. */
  readonly name: string;
  readonly summary: string;
  /** Paper or report that describes it. */
  readonly source: string;
  /** Reads and checks the fields; what would change the numbers and is not supported is refused by name. */
  readonly network: (fields: ConfigFields) => Network;
}

/** Sizes that every decoder has. */
export interface ModelConfig {
  /** Width of the head: logits per row. It can be larger than the tokenizer's vocabulary. */
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly intermediateSize: number;
  /** The head's weight is the embedding. */
  readonly tied: boolean;
  /** The longest sequence the model was made for; null where the config does not say. */
  readonly maxPositions: number | null;
  readonly normEpsilon: number;
  /** Base of the rotary frequencies. */
  readonly rotaryBase: number;
}

export interface Network {
  readonly config: ModelConfig;
  /** Checkpoint name of the embedding [vocabulary, hidden]. */
  readonly embedding: string;
  /** Checkpoint name of the head [vocabulary, hidden]; the embedding's where it is tied. */
  readonly head: string;
  /** From looked-up embeddings [batch * length, hidden] to what the head reads, of the same shape. */
  readonly forward: (scope: Scope, embedded: Value) => Value;
}

/** Where a forward pass is built. */
export interface Scope {
  readonly graph: Graph;
  /** Sequences, and positions of each; sequences shorter than that are padded on the right. */
  readonly batch: number;
  readonly length: number;
  /** The graph input of a weight, by its checkpoint name and layout (a projection is [out, in]). */
  readonly weight: (name: string, shape: readonly number[]) => Value;
}

export interface WeightShape {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A model folder, its config read and checked; its weights are somebody else's to open. */
export interface Model extends Network {
  readonly folder: string;
  readonly architecture: Architecture;
  /** Every weight in the order of use, embedding first; a tied head has none. */
  readonly shapes: readonly WeightShape[];
  readonly parameters: number;
}
