/**
 * The distributions a target is trained on: the pivot's shards and, where there is a source, the aligned shards beside
 * them (same conversations, same rows) and the source's own. They are too many for memory, so they are gone through
 * once, shard by shard, and everything is checked against everything else on the way; after that a conversation is read
 * again whenever its batch comes, without asking. Memory is that of one shard of each.
 */
import type { AlignedShard } from "../align/shard.ts";
import { type AlignedRowColumns, readAlignedExtent, readAlignedRows, readAlignedShard } from "../align/shard-file.ts";
import { createShardMemory } from "../align/units/shard-memory.ts";
import { listShards } from "../distributions/folder.ts";
import { readDistributions } from "../distributions/read-folder.ts";
import type { DistributionsMetadata, DistributionsShard } from "../distributions/shard.ts";
import {
  type DistributionsRowColumns,
  readDistributionsMetadata,
  readDistributionsRows,
} from "../distributions/shard-file.ts";
import { inputError } from "../errors.ts";
import { sha256OfFiles } from "../formats/files.ts";
import { createRowReader } from "../formats/safetensors.ts";
import type { FuseOptions } from "./options.ts";
import { checkAligned, checkSource } from "./pair-checks.ts";

/** One conversation's rows in a distributions shard, or in an excerpt of one. */
export interface ShardRows<Columns extends DistributionsRowColumns = DistributionsRowColumns> {
  readonly shard: Columns;
  /** Place of the conversation in the shard. */
  readonly place: number;
  /** First row within the shard. */
  readonly first: number;
  readonly rows: number;
}

/** What an aligned shard, or an excerpt of one, says of conversations and rows. */
export type AlignedColumns = AlignedRowColumns &
  Pick<AlignedShard, "pivotNats" | "sourceNats" | "pivotBytes" | "sourceBytes">;

export interface PairConversation {
  /** Index in the prepared data. */
  readonly conversation: number;
  readonly pivot: ShardRows;
  /** Null without a source. The rows are the pivot's. */
  readonly aligned: { readonly shard: AlignedColumns; readonly place: number } | null;
  /** The source's own rows: null where they were not given, or where the source's template refuses the conversation. */
  readonly source: ShardRows | null;
}

/** A conversation in the shards that were read whole. */
export interface WholeConversation extends PairConversation {
  readonly pivot: ShardRows<DistributionsShard>;
  readonly aligned: { readonly shard: AlignedShard; readonly place: number } | null;
  readonly source: ShardRows<DistributionsShard> | null;
}

export interface Pair {
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
  /** The conversations of every pivot shard, checked. What it gives out is valid until the next shard is asked for. */
  shards(): AsyncGenerator<readonly WholeConversation[], void, void>;
  /** The conversation at a place in the order of the shards, once they have been gone through. */
  read(place: number): Promise<PairConversation>;
}

/** Where a conversation is found again. */
interface Found {
  readonly conversation: number;
  readonly pivot: Excerpt;
  readonly aligned: AlignedFigures | null;
  readonly source: Excerpt | null;
}

/** What an aligned shard says of one conversation; plain numbers, for there are as many of them as conversations. */
interface AlignedFigures {
  readonly pivotNats: number;
  readonly sourceNats: number;
  readonly pivotBytes: number;
  readonly sourceBytes: number;
}

interface Excerpt {
  /** Number of the shard in its folder. */
  readonly shard: number;
  readonly first: number;
  readonly rows: number;
}

/** Opens all that a fusion reads; the source's own shards at `level: row` only, the one rule that looks at them. */
export async function openPair(
  options: Pick<FuseOptions, "aligned" | "source" | "level"> & { readonly pivot: string },
): Promise<Pair> {
  const pivotPaths = await listShards(options.pivot);
  const metadata = await readDistributionsMetadata(pivotPaths[0]!);
  const hashes: Record<string, string> = { pivot_shards: await sha256OfFiles(pivotPaths) };
  const alignedPaths = options.aligned === undefined ? null : await listAligned(options.aligned, options.pivot);
  const extents = [];
  for (const path of alignedPaths ?? []) extents.push(await readAlignedExtent(path));
  const sourceFolder = options.level === "row" && alignedPaths !== null ? options.source : undefined;
  const sourcePaths = sourceFolder === undefined ? [] : await listShards(sourceFolder);
  if (alignedPaths !== null) hashes.aligned_shards = await sha256OfFiles(alignedPaths);
  if (sourceFolder !== undefined) hashes.source_shards = await sha256OfFiles(sourcePaths);

  const found: Found[] = [];
  const rowsOf = createRowReader();
  return {
    metadata,
    sourceName: extents[0]?.source ?? null,
    pivotWidth: metadata.topK,
    alignedWidth: Math.max(0, ...extents.map(({ width }) => width)),
    hashes,
    shards: async function* () {
      found.length = 0;
      const memory = { pivot: createShardMemory(), aligned: createShardMemory() };
      const sources = sourceFolder === undefined ? null : createSourceWalk(sourceFolder);
      let number = 0;
      for await (const { shard } of readDistributions(options.pivot, memory.pivot)) {
        const path = alignedPaths?.[number];
        const aligned = path === undefined ? null : await readAlignedShard(path, metadata.vocabulary, memory.aligned);
        if (aligned !== null) checkAligned(path!, aligned, shard);
        const conversations: WholeConversation[] = [];
        for (let place = 0; place < shard.conversation.length; place++) {
          const conversation = shard.conversation[place]!;
          const source = (await sources?.find(conversation)) ?? null;
          const whole: WholeConversation = {
            conversation,
            pivot: shardRows(shard, place),
            aligned: aligned === null ? null : { shard: aligned, place },
            source: source === null ? null : source.rows,
          };
          if (sourceFolder !== undefined) checkSource(sourceFolder, whole);
          conversations.push(whole);
          found.push({
            conversation,
            pivot: excerpt(number, whole.pivot),
            aligned: aligned === null ? null : figuresOf(aligned, place),
            source: source === null ? null : excerpt(source.shard, source.rows),
          });
        }
        yield conversations;
        number++;
      }
      await sources?.finish();
    },
    read: async (place) => {
      const { conversation, pivot, aligned, source } = found[place]!;
      const own = async (path: string, { first, rows }: Excerpt): Promise<ShardRows> => {
        const shard = await readDistributionsRows(rowsOf, path, metadata, first, rows);
        return { shard, place: 0, first: 0, rows };
      };
      return {
        conversation,
        pivot: await own(pivotPaths[pivot.shard]!, pivot),
        aligned:
          aligned === null
            ? null
            : {
                shard: {
                  ...columnsOf(aligned),
                  ...(await readAlignedRows(rowsOf, alignedPaths![pivot.shard]!, pivot.first, pivot.rows)),
                },
                place: 0,
              },
        source: source === null ? null : await own(sourcePaths[source.shard]!, source),
      };
    },
  };
}

/** W of an aligned shard; 0 where it has no rows. */
export function alignedWidth({ sourceRow, topId }: Pick<AlignedColumns, "sourceRow" | "topId">): number {
  return sourceRow.length === 0 ? 0 : topId.length / sourceRow.length;
}

async function listAligned(folder: string, pivot: string): Promise<string[]> {
  const paths = await listShards(folder);
  const expected = (await listShards(pivot)).length;
  if (paths.length === expected) return paths;
  throw inputError(
    folder,
    `expected ${expected} aligned shards, as many as the pivot has in ${pivot}, found ${paths.length}; align again`,
  );
}

interface SourceWalk {
  /** The rows of a conversation, whose number is above that of the one before; null where the source has none. */
  find(conversation: number): Promise<{ readonly shard: number; readonly rows: ShardRows<DistributionsShard> } | null>;
  /** Reads what is left, so that all shards are checked. */
  finish(): Promise<void>;
}

/** The source's shards beside the pivot's: conversations ascend in both, but the files need not be cut alike. */
function createSourceWalk(folder: string): SourceWalk {
  const shards = readDistributions(folder);
  let current: DistributionsShard | undefined;
  let number = -1;
  const next = async (): Promise<void> => {
    const step = await shards.next();
    current = step.done === true ? undefined : step.value.shard;
    number++;
  };
  return {
    find: async (conversation) => {
      if (number < 0) await next();
      while (current !== undefined && (current.conversation.at(-1) ?? -1) < conversation) await next();
      const place = current?.conversation.indexOf(conversation) ?? -1;
      return place < 0 ? null : { shard: number, rows: shardRows(current!, place) };
    },
    finish: async () => {
      while (number < 0 || current !== undefined) await next();
    },
  };
}

/** The rows of the conversation at a place of a shard. */
export function shardRows(shard: DistributionsShard, place: number): ShardRows<DistributionsShard> {
  const first = shard.rowStart[place]!;
  return { shard, place, first, rows: shard.rowStart[place + 1]! - first };
}

function excerpt(shard: number, { first, rows }: ShardRows): Excerpt {
  return { shard, first, rows };
}

function figuresOf({ pivotNats, sourceNats, pivotBytes, sourceBytes }: AlignedShard, place: number): AlignedFigures {
  return {
    pivotNats: pivotNats[place]!,
    sourceNats: sourceNats[place]!,
    pivotBytes: pivotBytes[place]!,
    sourceBytes: sourceBytes[place]!,
  };
}

/** The columns of a shard with one conversation. */
function columnsOf({
  pivotNats,
  sourceNats,
  pivotBytes,
  sourceBytes,
}: AlignedFigures): Omit<AlignedColumns, keyof AlignedRowColumns> {
  return {
    pivotNats: Float32Array.of(pivotNats),
    sourceNats: Float32Array.of(sourceNats),
    pivotBytes: Int32Array.of(pivotBytes),
    sourceBytes: Int32Array.of(sourceBytes),
  };
}
