/** Whether the shards of a pair belong together: aligned shards to the pivot's, the source's to the aligned ones. */
import type { AlignedShard } from "../align/shard.ts";
import type { DistributionsShard } from "../distributions/shard.ts";
import { inputError } from "../errors.ts";
import type { WholeConversation } from "./pair-conversation.ts";

type WholeSource = WholeConversation["sources"][number];

/** Aligned to this very pivot: same conversations, same rows, same bytes, and the same nats to within rounding. */
export function checkAligned(path: string, aligned: AlignedShard, pivot: DistributionsShard): void {
  const problem = alignedProblem(aligned, pivot);
  if (problem !== undefined) {
    throw inputError(path, `${problem}; it was aligned to another pivot or another collection, align again`);
  }
}

function alignedProblem(aligned: AlignedShard, pivot: DistributionsShard): string | undefined {
  const count = pivot.conversation.length;
  if (aligned.conversation.length !== count) {
    return `expected ${count} conversations as in the pivot's shard, found ${aligned.conversation.length}`;
  }
  for (let place = 0; place < count; place++) {
    const name = `conversation ${pivot.conversation[place]}`;
    if (aligned.conversation[place] !== pivot.conversation[place]) {
      return `expected ${name} at place ${place}, found conversation ${aligned.conversation[place]}`;
    }
    const first = pivot.rowStart[place]!;
    const rows = pivot.rowStart[place + 1]! - first;
    const found = aligned.rowStart[place + 1]! - aligned.rowStart[place]!;
    if (aligned.rowStart[place] !== first || found !== rows) return `${name}: expected ${rows} rows, found ${found}`;
    let nats = 0;
    for (let row = first; row < first + rows; row++) nats -= pivot.labelLogp[row]!;
    if (aligned.pivotBytes[place] !== pivot.bytes[place]) {
      return `${name}: expected ${pivot.bytes[place]} bytes, found ${aligned.pivotBytes[place]}`;
    }
    // Sums of at most a few thousand float32 values differ by some 1e-6 with their order; another model's by whole nats.
    if (!(Math.abs(aligned.pivotNats[place]! - nats) <= 1e-3 * Math.max(1, nats))) {
      return `${name}: expected ${nats.toFixed(4)} pivot nats, found ${aligned.pivotNats[place]!.toFixed(4)}`;
    }
  }
  return undefined;
}

/** A row that the alignment shares must start at the same byte of the same turn in the source's own shard. */
export function checkSource(
  folder: string,
  { conversation, pivot }: WholeConversation,
  { aligned, own: source }: WholeSource,
): void {
  for (let r = 0; r < pivot.rows; r++) {
    const row = pivot.first + r;
    const sourceRow: number = aligned.shard.sourceRow[row]!;
    if (sourceRow < 0) continue;
    const at: number = source === null || sourceRow >= source.rows ? -1 : source.first + sourceRow;
    if (
      at < 0 ||
      source!.shard.turn[at] !== pivot.shard.turn[row] ||
      source!.shard.byteStart[at] !== pivot.shard.byteStart[row]
    ) {
      throw inputError(
        folder,
        `conversation ${conversation} has no row ${sourceRow} that starts where row ${r} of the pivot starts; ` +
          "these are not the source shards that were aligned",
      );
    }
  }
}
