/**
 * The record of each model over groups of conversations that are alike: what a byte of such conversations costs it. A
 * single answer says little of which model is better, and it is the label too; of some dozens the mean does. A small
 * group leans on the larger one that it is a part of, and that one on the next, up to all of the data (shrinkage of
 * means, James and Stein 1961).
 *
 * Sources are compared with the pivot conversation by conversation, over those that both have read, so that a source is
 * not judged by which conversations its template takes.
 */
import type { AlignedNats } from "../../align/shard-file.ts";
import type { Groups } from "./groups.ts";

/** The larger group counts as so many conversations of a group. */
export const PRIOR_CONVERSATIONS = 8;

export interface GroupRecord {
  /** Nats per byte of each model, the pivot first, over conversations like this one of the data. */
  nats(conversation: number): readonly number[];
}

/** `nats`, a list a source, are of the same conversations in the same order. */
export function recordOf(groups: Groups, nats: readonly AlignedNats[]): GroupRecord {
  const models = nats.length + 1;
  const count = groups.parent.length;
  /** [G, models] bytes of the pivot that something is known of, and over them the sums: nats; nats above the pivot's. */
  const bytes = new Float64Array(count * models);
  const sums = new Float64Array(count * models);
  for (const [index, { conversation, pivotNats, sourceNats, pivotBytes, sourceBytes }] of nats.entries()) {
    for (let n = 0; n < conversation.length; n++) {
      const group = groups.group[conversation[n]!];
      if (group === undefined || pivotBytes[n] === 0) continue;
      const pivot = pivotNats[n]! / pivotBytes[n]!;
      const known = sourceBytes[n] === 0 ? null : sourceNats[n]! / sourceBytes[n]! - pivot;
      for (let at = group; at >= 0; at = groups.parent[at]!) {
        if (index === 0) {
          bytes[at * models]! += pivotBytes[n]!;
          sums[at * models]! += pivotNats[n]!;
        }
        if (known === null) continue;
        bytes[at * models + index + 1]! += pivotBytes[n]!;
        sums[at * models + index + 1]! += known * pivotBytes[n]!;
      }
    }
  }
  const conversations = nats[0]?.conversation.length ?? 0;
  const prior = conversations === 0 ? 0 : (PRIOR_CONVERSATIONS * bytes[0]!) / conversations;
  /** [G, models] as the sums, per byte, each leaning on the group above. */
  const means = new Float64Array(count * models);
  for (let at = 0; at < count * models; at++) {
    const group = Math.floor(at / models);
    const above = groups.parent[group]! * models + (at % models);
    means[at] =
      group === 0
        ? bytes[at] === 0
          ? 0
          : sums[at]! / bytes[at]!
        : (sums[at]! + prior * means[above]!) / (bytes[at]! + prior);
  }
  const found = Array.from({ length: count }, (_, group) => {
    const [pivot = 0, ...differences] = means.subarray(group * models, (group + 1) * models);
    return [pivot, ...differences.map((difference) => pivot + difference)];
  });
  return { nats: (conversation) => found[groups.group[conversation]!]! };
}
