/**
 * A distributions shard in memory, as FORMATS fixes it: conversations in input order, and for every row the label
 * token, its span, its log-probability and the top-K of the full softmax. N conversations, R rows, K kept.
 */
export interface DistributionsMetadata {
  readonly model: string;
  readonly weightsSha256: string;
  readonly tokenizerSha256: string;
  readonly template: "native" | "pivot";
  readonly topK: number;
  /** Head width of the model. */
  readonly vocabulary: number;
  readonly maxLength: number;
}

export interface DistributionsShard {
  readonly metadata: DistributionsMetadata;
  /** [N] index of the conversation in the prepared data. */
  readonly conversation: Int32Array;
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
}
