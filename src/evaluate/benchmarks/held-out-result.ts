/** The result document of the held-out benchmark: figures, and what they are sums of, conversation by conversation. */
import type { LeftOut } from "../../data/irregular.ts";
import type { BenchmarkResult } from "./benchmark.ts";

export interface HeldOutConversation {
  readonly id: string;
  readonly nats: number;
  readonly bytes: number;
  readonly rows: number;
  readonly skill?: string;
  /** Only where the whole conversation was read: the floor speaks of all its answers. */
  readonly floor_nats?: number;
}

export interface HeldOutResult extends BenchmarkResult {
  readonly benchmark: "held-out";
  readonly rows: number;
  readonly bytes: number;
  readonly conversations: number;
  /** Conversations that the model's template refuses; they count nowhere. */
  readonly refused: number;
  /** Records of the data that cannot be used, by reason; absent where there are none. */
  readonly left_out?: readonly LeftOut[];
  readonly per_conversation: readonly HeldOutConversation[];
}
