/** What all conversations of an alignment are aligned by. */
import type { LabelMass } from "./label-mass.ts";
import type { LeadSwaps } from "./leads.ts";
import type { PreferenceReader } from "./preference.ts";
import type { SequenceAlignment } from "./sequence.ts";
import type { NeverFollowing } from "./spaces/following.ts";
import type { SpaceTokens } from "./spaces/lone-space.ts";
import type { SparseMap } from "./sparse-map.ts";
import type { TokenBytes } from "./units/shared-vocabulary.ts";

export interface PartPlan {
  readonly sequence: SequenceAlignment;
  readonly swaps: LeadSwaps;
  readonly sourceVocabulary: TokenBytes;
  readonly map: SparseMap;
  readonly width: number;
  readonly labelMass: LabelMass;
  /** What divides masses beside the map's shares, if anything. */
  readonly preference: PreferenceReader | null;
  /** What is known of spaces, where rows get what the pivot has written to go by. */
  readonly spaces: Spaces | null;
}

export interface Spaces extends SpaceTokens {
  readonly never: NeverFollowing;
}
