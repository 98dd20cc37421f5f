/**
 * The distributions a target is trained on: the pivot's shards and, of each source, the aligned shards beside them (same
 * conversations, same rows) and the source's own. Mostly there is one source, a pair; a target of several is trained on
 * all of them at once. They are too many for memory, so they are gone through shard by shard, and everything is checked
 * against everything else on the way. Memory is that of one shard of each.
 */

import type { AlignedShard } from "../align/shard.ts";
import { type AlignedNats, readAlignedExtent, readAlignedNats, readAlignedShard } from "../align/shard-file.ts";
import { createShardMemory } from "../align/units/shard-memory.ts";
import { listShards } from "../distributions/folder.ts";
import { readDistributions } from "../distributions/read-folder.ts";
import type { DistributionsMetadata, DistributionsShard } from "../distributions/shard.ts";
import { readDistributionsMetadata } from "../distributions/shard-file.ts";
import { inputError } from "../errors.ts";
import { sha256OfFiles } from "../formats/files.ts";
import type { TensorMemory } from "../formats/safetensors.ts";
import { emptyTable } from "../table.ts";
import { type FuseOptions, foldersOf } from "./options.ts";
import { checkAligned, checkSource } from "./pair-checks.ts";
import type { AlignedColumns, WholeConversation } from "./pair-conversation.ts";
import { type ShardRows, shardRows } from "./shard-rows.ts";
import { createSourceWalk } from "./source-walk.ts";

export interface Pair {
  /** Of the pivot's shards, all alike. */
  readonly metadata: DistributionsMetadata;
  /** Names of the sources; none for plain fine-tuning. */
  readonly sourceNames: readonly string[];
  /** K, the width of the pivot's stored distributions. */
  readonly pivotWidth: number;
  /** W of each source's aligned ones. */
  readonly alignedWidths: readonly number[];
  /** SHA-256 over each folder's shards, by input name: only what the training reads. */
  readonly hashes: Readonly<Record<string, string>>;
  /** What all conversations cost, a list a source, before anything else is read. */
  nats(): Promise<readonly AlignedNats[]>;
  /** The conversations of every pivot shard, checked. What it gives out is valid until the next shard is asked for. */
  shards(): AsyncGenerator<readonly WholeConversation[], void, void>;
}

/** The folders of one source. */
interface OpenedSource {
  readonly name: string;
  /** W. */
  readonly width: number;
  readonly alignedPaths: readonly string[];
  /** Null where no rule looks at the source's own shards. */
  readonly own: { readonly folder: string; readonly paths: readonly string[] } | null;
}

/** Opens all that a fusion reads; the sources' own shards at `level: row` only, the one rule that looks at them. */
export async function openPair(
  options: Pick<FuseOptions, "aligned" | "source" | "level"> & { readonly pivot: string },
): Promise<Pair> {
  const pivotPaths = await listShards(options.pivot);
  const metadata = await readDistributionsMetadata(pivotPaths[0]!);
  const hashes = emptyTable<string>();
  hashes.pivot_shards = await sha256OfFiles(pivotPaths);
  const alignedFolders = foldersOf(options.aligned);
  const ownFolders = options.level === "row" ? foldersOf(options.source) : [];
  const sources: OpenedSource[] = [];
  for (const [index, folder] of alignedFolders.entries()) {
    const source = await openSource(folder, ownFolders[index], options.pivot);
    const twice = sources.find(({ name }) => name === source.name);
    if (twice !== undefined)
      throw inputError(folder, `is aligned from ${source.name}, as another folder is; give each source once`);
    sources.push(source);
    // One source keeps the names that it had before there could be several.
    const number = alignedFolders.length === 1 ? "" : `_${index + 1}`;
    hashes[`aligned_shards${number}`] = await sha256OfFiles(source.alignedPaths);
    if (source.own !== null) hashes[`source_shards${number}`] = await sha256OfFiles(source.own.paths);
  }

  return {
    metadata,
    sourceNames: sources.map(({ name }) => name),
    pivotWidth: metadata.topK,
    alignedWidths: sources.map(({ width }) => width),
    hashes,
    nats: () => Promise.all(sources.map(({ alignedPaths }) => readAlignedNats(alignedPaths))),
    shards: async function* () {
      const pivotMemory = createShardMemory();
      const walks = sources.map(({ own }) => ({
        memory: createShardMemory(),
        own: own === null ? null : createSourceWalk(own.folder),
      }));
      let number = 0;
      for await (const { shard } of readDistributions(options.pivot, pivotMemory)) {
        const aligned: AlignedShard[] = [];
        for (const [index, { alignedPaths }] of sources.entries()) {
          const path = alignedPaths[number]!;
          aligned.push(await readChecked(path, shard, walks[index]!.memory));
        }
        const conversations: WholeConversation[] = [];
        for (let place = 0; place < shard.conversation.length; place++) {
          const conversation = shard.conversation[place]!;
          const owns: (ShardRows<DistributionsShard> | null)[] = [];
          for (const walk of walks) owns.push((await walk.own?.find(conversation)) ?? null);
          const whole: WholeConversation = {
            conversation,
            pivot: shardRows(shard, place),
            sources: aligned.map((one, index) => ({
              aligned: { shard: one, place },
              own: owns[index] ?? null,
            })),
          };
          for (const [index, { own }] of sources.entries()) {
            if (own !== null) checkSource(own.folder, whole, whole.sources[index]!);
          }
          conversations.push(whole);
        }
        yield conversations;
        number++;
      }
      for (const walk of walks) await walk.own?.finish();
    },
  };
}

/** `own` is the folder of the source's own shards. */
async function openSource(aligned: string, own: string | undefined, pivot: string): Promise<OpenedSource> {
  const alignedPaths = await listAligned(aligned, pivot);
  const extents = [];
  for (const path of alignedPaths) extents.push(await readAlignedExtent(path));
  return {
    name: extents[0]!.source,
    width: Math.max(0, ...extents.map(({ width }) => width)),
    alignedPaths,
    own: own === undefined ? null : { folder: own, paths: await listShards(own) },
  };
}

/** The aligned shard beside one of the pivot's. */
async function readChecked(path: string, pivot: DistributionsShard, memory: TensorMemory): Promise<AlignedShard> {
  const aligned = await readAlignedShard(path, pivot.metadata.vocabulary, memory);
  checkAligned(path, aligned, pivot);
  return aligned;
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
