/**
 * The distributions a target is trained on: the pivot's shards and, where there is a source, the aligned shards beside
 * them (same conversations, same rows) and the source's own. Everything is checked against everything else here, once,
 * so that what follows can index without asking.
 */
import type { AlignedShard } from "../align/shard.ts";
import { readAlignedShard } from "../align/shard-file.ts";
import { listShards } from "../distributions/folder.ts";
import { readDistributions } from "../distributions/read-folder.ts";
import type { DistributionsMetadata, DistributionsShard } from "../distributions/shard.ts";
import { inputError } from "../errors.ts";
import { sha256OfFiles } from "../formats/files.ts";
import type { FuseOptions } from "./options.ts";

/** One conversation's rows in one distributions shard. */
export interface ShardRows {
  readonly shard: DistributionsShard;
  /** Place of the conversation in the shard. */
  readonly place: number;
  /** First row within the shard. */
  readonly first: number;
  readonly rows: number;
}

export interface AlignedRows {
  readonly shard: AlignedShard;
  /** Place of the conversation in the shard; its rows are the pivot's. */
  readonly place: number;
}

export interface PairConversation {
  /** Index in the prepared data. */
  readonly conversation: number;
  readonly pivot: ShardRows;
  /** Null without a source. */
  readonly aligned: AlignedRows | null;
  /** The source's own rows: null where they were not given, or where the source's template refuses the conversation. */
  readonly source: ShardRows | null;
}

export interface Pair {
  /** In the order of the pivot's shards. */
  readonly conversations: readonly PairConversation[];
  /** Of the pivot's shards, all alike. */
  readonly metadata: DistributionsMetadata;
  /** Name of the source, or null for plain fine-tuning. */
  readonly sourceName: string | null;
  /** K, the width of the pivot's stored distributions. */
  readonly pivotWidth: number;
  /** W, that of the aligned ones; 0 without a source. */
  readonly alignedWidth: number;
  /** SHA-256 over each folder's shards, by input name: only what the training reads. */
  readonly hashes: Readonly<Record<string, string>>;
}

/**
 * Reads all shards of a fusion; memory is theirs (at most 64 bytes a row each, by the budget of the format). The
 * source's own are read at `level: row` only, the one rule that looks at them.
 */
export async function readPair(options: Pick<FuseOptions, "pivot" | "aligned" | "source" | "level">): Promise<Pair> {
  const { shards: pivot, sha256 } = await readShards(options.pivot);
  const metadata = pivot[0]!.metadata;
  const hashes: Record<string, string> = { pivot_shards: sha256 };

  let aligned: AlignedShard[] | null = null;
  let source: ReadonlyMap<number, ShardRows> | null = null;
  if (options.aligned !== undefined) {
    const paths = await listShards(options.aligned);
    if (paths.length !== pivot.length) {
      throw inputError(
        options.aligned,
        `expected ${pivot.length} aligned shards, as many as the pivot has in ${options.pivot}, found ${paths.length}; align again`,
      );
    }
    aligned = [];
    for (const [index, path] of paths.entries()) {
      const shard = await readAlignedShard(path, metadata.vocabulary);
      checkAligned(path, shard, pivot[index]!);
      aligned.push(shard);
    }
    hashes.aligned_shards = await sha256OfFiles(paths);
    if (options.level === "row" && options.source !== undefined) {
      const read = await readShards(options.source);
      source = byConversation(options.source, read.shards);
      hashes.source_shards = read.sha256;
    }
  }

  const conversations: PairConversation[] = [];
  for (const [index, shard] of pivot.entries()) {
    for (let place = 0; place < shard.conversation.length; place++) {
      conversations.push({
        conversation: shard.conversation[place]!,
        pivot: shardRows(shard, place),
        aligned: aligned === null ? null : { shard: aligned[index]!, place },
        source: source?.get(shard.conversation[place]!) ?? null,
      });
    }
  }
  if (source !== null) for (const pair of conversations) checkSource(options.source!, pair);
  return {
    conversations,
    metadata,
    sourceName: aligned === null ? null : aligned[0]!.metadata.source,
    pivotWidth: metadata.topK,
    alignedWidth: aligned === null ? 0 : Math.max(...aligned.map((shard) => alignedWidth(shard))),
    hashes,
  };
}

/** W of an aligned shard; 0 where it has no rows. */
export function alignedWidth(shard: AlignedShard): number {
  return shard.sourceRow.length === 0 ? 0 : shard.topId.length / shard.sourceRow.length;
}

function shardRows(shard: DistributionsShard, place: number): ShardRows {
  const first = shard.rowStart[place]!;
  return { shard, place, first, rows: shard.rowStart[place + 1]! - first };
}

/** All shards of a folder, which has at least one; the reader sees to it that they are of one collection. */
async function readShards(folder: string): Promise<{ shards: DistributionsShard[]; sha256: string }> {
  const shards: DistributionsShard[] = [];
  const paths: string[] = [];
  for await (const { path, shard } of readDistributions(folder)) {
    shards.push(shard);
    paths.push(path);
  }
  return { shards, sha256: await sha256OfFiles(paths) };
}

function byConversation(folder: string, shards: readonly DistributionsShard[]): Map<number, ShardRows> {
  const found = new Map<number, ShardRows>();
  for (const shard of shards) {
    for (let place = 0; place < shard.conversation.length; place++) {
      const conversation = shard.conversation[place]!;
      if (found.has(conversation)) throw inputError(folder, `holds conversation ${conversation} twice`);
      found.set(conversation, shardRows(shard, place));
    }
  }
  return found;
}

/** Aligned to this very pivot: same conversations, same rows, same bytes, and the same nats to within rounding. */
function checkAligned(path: string, aligned: AlignedShard, pivot: DistributionsShard): void {
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
    const { first, rows } = shardRows(pivot, place);
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
function checkSource(folder: string, pair: PairConversation): void {
  const { pivot, aligned, source } = pair;
  if (aligned === null) return;
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
        `conversation ${pair.conversation} has no row ${sourceRow} that starts where row ${r} of the pivot starts; ` +
          "these are not the source shards that were aligned",
      );
    }
  }
}
