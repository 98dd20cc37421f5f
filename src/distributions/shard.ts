/**
 * A distributions shard in memory, as FORMATS fixes it: conversations in input order, and for every row the label
 * token, its span, its log-probability and the top-K of the full softmax. N conversations, R rows, K kept.
 */
export interface DistributionsMetadata {
  readonly model: string;
  readonly weightsSha256: string;
  /** Of a model behind a server, whose weights nobody here has seen: which one it is; `weightsSha256` is then a hash of this. */
  readonly served?: string;
  readonly tokenizerSha256: string;
  readonly template: "native" | "pivot";
  /** What the prompts were rendered with: hashes of the template's text and of the special tokens given to it, */
  readonly templateSha256: string;
  readonly specialTokensSha256: string;
  /** which of the folder's templates it is, its variables (JSON, keys in order), and its today (YYYY-MM-DD). */
  readonly templateName: string;
  readonly templateVariables: string;
  readonly date: string;
  readonly topK: number;
  /** K ids were drawn of each row, with repetition, and stand with log(count / K); absent: the K most probable ids. */
  readonly rows?: "sampled";
  /** Head width of the model. */
  readonly vocabulary: number;
  readonly maxLength: number;
}

export interface DistributionsShard {
  readonly metadata: DistributionsMetadata;
  /** [N] index of the conversation in the prepared data. */
  readonly conversation: Int32Array;
  /** [N, 32] SHA-256 of the conversation itself (its id), and of its ids as little-endian I32, prompts included. */
  readonly conversationSha256: Uint8Array;
  readonly idsSha256: Uint8Array;
  /** [N] divisor of its nats per byte. */
  readonly bytes: Int32Array;
  /** [N+1] rows of conversation n are rowStart[n] .. rowStart[n+1]-1. */
  readonly rowStart: Float64Array;
  readonly turn: Uint16Array;
  readonly byteStart: Int32Array;
  readonly byteEnd: Int32Array;
  readonly lead: Uint8Array;
  readonly token: Uint16Array | Uint32Array;
  readonly labelLogp: Float32Array;
  /** [R, K] */
  readonly topId: Uint16Array | Uint32Array;
  /** [R, K] float16 bit patterns of natural-log probabilities. */
  readonly topLogp: Uint16Array;
  /** [E] the rows that end a turn, ascending. */
  readonly endOfTurn: Int32Array;
  /** [G] rows, ascending, from which on to the end of their turn the template has left out of the response what `leftOut` stands for. */
  readonly leftOutRow: Int32Array;
  /** [G] a hash of it; 0 for nothing. */
  readonly leftOut: BigInt64Array;
}
