/** A kind of scaling of rotary positions, and what it is given to scale by. */
import type { RotaryEmbedding } from "./architecture.ts";
import type { ConfigFields } from "./config-fields.ts";

export interface RotaryOptions {
  /** Where the config names no base; for a kind of scaling the base that counts. */
  readonly base: number;
  readonly headSize: number;
  /** `max_position_embeddings`. */
  readonly maxPositions: number | null;
  /** What `partial_rotary_factor` is where the config has none; where absent, whole heads turn and nothing else is read. */
  readonly partial?: number;
  /** Neighbours in a head turn together; false where absent. */
  readonly isInterleaved?: boolean;
}

export interface RotaryKind {
  /** The fields it has in its section. */
  readonly fields: readonly string[];
  /** What it makes of the plain embedding; `section` has its fields, `config` the fields around it. */
  readonly scale: (
    plain: RotaryEmbedding,
    section: ConfigFields,
    options: RotaryOptions,
    config: ConfigFields,
  ) => RotaryEmbedding;
}
