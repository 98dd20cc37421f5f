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
  /** The published class, where that is not the causal language model named after it: Gemma3ForCausalLM. */
  readonly publishedClass?: string;
  readonly summary: string;
  /** Paper or report that describes it. */
  readonly source: string;
  /** True where the config alone does not say how the weights are called and whether the head is tied. */
  readonly readsNames?: boolean;
  /**
   * Reads and checks the fields; what would change the numbers and is not supported is refused by name. `stored` is
   * null where only the config is known, and for architectures that do not read names.
   */
  readonly network: (fields: ConfigFields, stored: StoredNames | null) => Network;
}

/** What a checkpoint holds. */
export interface StoredNames {
  readonly names: ReadonlySet<string>;
  /** There is a head, and its bytes are those of the embedding. */
  readonly headIsCopy: boolean;
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
  readonly rotary: RotaryEmbedding;
  /** Logits z become `cap * tanh(z / cap)`; null leaves them as they are. */
  readonly logitCap: number | null;
}

/** The angles by which positions turn queries and keys. */
export interface RotaryEmbedding {
  /** [turned / 2] radians a position, rounded to single precision; what of a head is beyond `turned` entries passes. */
  readonly frequencies: Float32Array;
  /** Tells embeddings apart within one network. */
  readonly key: string;
  /** Neighbours in a head turn together, rather than entries half of what turns apart. */
  readonly isInterleaved: boolean;
  /** Multiplies cosines and sines, and so the products of queries and keys by its square. */
  readonly factor: number;
  /** What turns sequences of more than `after` positions, all of their positions; null where length changes nothing. */
  readonly long: { readonly after: number; readonly frequencies: Float32Array } | null;
}

/** Whether a sequence of so many positions turns by other angles than shorter ones. */
export function isLongSequence({ rotary: { long } }: ModelConfig, positions: number): boolean {
  return long !== null && positions > long.after;
}

/**
 * A decoder in parts: `forward` (below) runs them one after the other in one program; where a model is larger than
 * memory they run as programs of their own. Activations are rows [batch * length, hidden].
 */
export interface Network {
  readonly config: ModelConfig;
  /** Checkpoint name of the embedding [vocabulary, hidden]. */
  readonly embedding: string;
  /** Checkpoint name of the head [vocabulary, hidden]; the embedding's where it is tied. */
  readonly head: string;
  /** What the names of a layer's weights begin with, as `model.layers.3.`; layers of one kind differ in nothing else. */
  readonly layerPrefix: (layer: number) => string;
  /** True of weights that belong to the model and play no part here; absent where there are none. */
  readonly isCarried?: (name: string) => boolean;
  /** From looked-up embeddings to what the first layer reads. */
  readonly enter: (scope: Scope, embedded: Value) => Value;
  readonly layer: (scope: Scope, index: number, x: Value) => Value;
  /** From the last layer to what the head reads. */
  readonly leave: (scope: Scope, x: Value) => Value;
}

/** From looked-up embeddings to what the head reads, through all layers. */
export function forward(network: Network, scope: Scope, embedded: Value): Value {
  let x = network.enter(scope, embedded);
  for (let index = 0; index < network.config.layers; index++) x = network.layer(scope, index, x);
  return network.leave(scope, x);
}

/** Where a forward pass is built. */
export interface Scope {
  readonly graph: Graph;
  /** Sequences, and positions of each; sequences shorter than that are padded on the right. */
  readonly batch: number;
  readonly length: number;
  /** True where the sequences are long ones (`isLongSequence`); absent where they are not. */
  readonly isLong?: boolean;
  /** The graph input of a weight, by its checkpoint name and layout (a projection is [out, in]). */
  readonly weight: (name: string, shape: readonly number[]) => Value;
  /** Where keys and values are kept for later passes; absent where there will be none. */
  readonly cache?: KeyValueCache;
  /** Whether matrices whose rows fill panels lie in them (`panel-product.ts`). Such a pass has no gradient. */
  readonly panels?: boolean;
}

/** What a pass knows of earlier positions, and where its own go. Every attention uses it once, in the order of layers. */
export interface KeyValueCache {
  /** Null where the pass begins its sequences. */
  readonly past: PastPositions | null;
  /** Takes the pass's own keys (turned) and values, [batch * keyValueHeads, length, headSize]. */
  readonly keep: (key: Value, value: Value) => void;
}

export interface PastPositions {
  /** Places each sequence has. */
  readonly capacity: number;
  /** int32 [batch]: how many of them are filled. */
  readonly filled: Value;
  /** Keys and values of the next attention, [batch * keyValueHeads, capacity, headSize]. */
  readonly next: () => { readonly key: Value; readonly value: Value };
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
