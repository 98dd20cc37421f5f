/**
 * How often conversations come up in a training. Evenly: each once an epoch. By gain: the more often the more their
 * sources know that the pivot does not, by what conversations like them cost the models (`level: group`); steps go where
 * there is something to learn, and a share of them goes to all alike, so that nothing is unlearnt. As many conversations
 * make an epoch as before.
 */
import type { GroupRecord } from "./groups/record.ts";

export const EMPHASES = ["even", "gain"] as const;
export type Emphasis = (typeof EMPHASES)[number];

/**
 * The share of an epoch that goes to all conversations alike. Half: what is least known comes soonest. With steps enough for
 * that, three quarters keep better what the pivot knows best (docs/laboratory.md).
 */
export const DEFAULT_EVEN_SHARE = 0.5;

/**
 * [conversations] the weight of each, 1 in the mean; null where no source is better than the pivot anywhere. A gain is
 * what the best source saves, nats per byte.
 */
export function gainWeights(
  record: GroupRecord,
  conversations: ArrayLike<number>,
  evenShare: number,
): Float64Array | null {
  const gains = Float64Array.from(conversations, (conversation) => {
    const [pivot = 0, ...sources] = record.nats(conversation);
    return Math.max(0, pivot - Math.min(...sources));
  });
  const mean = gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
  return mean > 0 ? gains.map((gain) => evenShare + ((1 - evenShare) * gain) / mean) : null;
}
