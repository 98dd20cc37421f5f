/**
 * An aligned shard in memory, as FORMATS fixes it. Its rows are the pivot's; each says which source row starts at the
 * same byte, and the source's distribution there in the pivot's vocabulary. N conversations, R rows, W kept.
 */
export interface AlignedMetadata {
  readonly pivot: string;
  readonly source: string;
  readonly sequence: string;
  readonly vocabulary: string;
  /** How the label's mass was found, divided tokens were divided and rows within a token were read, where that is not the default. */
  readonly label_mass?: string;
  readonly divide?: string;
  readonly within?: string;
}

export interface AlignedShard {
  readonly metadata: AlignedMetadata;
  /** [N], [N+1] as in the pivot's shard. */
  readonly conversation: Int32Array;
  readonly rowStart: Float64Array;
  /** [R] the source's row, counted within the conversation, or -1. */
  readonly sourceRow: Int32Array;
  /** [R] the source's row within whose label the row begins, where its distribution comes from there, or -1. */
  readonly withinRow?: Int32Array;
  /** [R, W] descending; unused places have id 0 and -inf. */
  readonly topId: Uint16Array | Uint32Array;
  /** [R, W] float16 bit patterns, nats. */
  readonly topLogp: Uint16Array;
  /** [N] sums of -label_logp over each model's own rows, nats. */
  readonly pivotNats: Float32Array;
  readonly sourceNats: Float32Array;
  /** [N] divisors of nats per byte; 0 where the source has no such conversation. */
  readonly pivotBytes: Int32Array;
  readonly sourceBytes: Int32Array;
}
