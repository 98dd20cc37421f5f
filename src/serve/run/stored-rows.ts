/**
 * The rows that a run has stored: the pivot's, and those of its sources in the pivot's vocabulary (FORMATS,
 * "distributions/<model>" and "aligned/<source>"). Which conversation lies in which shard is read once; a shard is read, and checked,
 * when it is asked for, and the last one of each folder stays.
 */
import type { AlignedShard } from "../../align/shard.ts";
import { readAlignedShard } from "../../align/shard-file.ts";
import { listShards } from "../../distributions/folder.ts";
import type { DistributionsShard } from "../../distributions/shard.ts";
import { readDistributionsShard } from "../../distributions/shard-file.ts";
import { inputError } from "../../errors.ts";
import { halfToNumber } from "../../formats/float.ts";
import { createRowReader, readSafetensorsHeader } from "../../formats/safetensors.ts";
import type { StoredRow } from "./divergence.ts";

export interface NamedFolder {
  readonly name: string;
  readonly folder: string;
}

/** A conversation's rows: `rows` of them from `first` on, at place `place` of the shard. */
export interface StoredPart<Shard> {
  readonly shard: Shard;
  readonly place: number;
  readonly first: number;
  readonly rows: number;
}

export interface StoredConversation {
  readonly pivot: StoredPart<DistributionsShard>;
  readonly sources: readonly (StoredPart<AlignedShard> & { readonly name: string })[];
}

export interface StoredRows {
  /** Indices of the conversations that have rows, ascending. */
  readonly conversations: Int32Array;
  /** null for one that has none. */
  conversation(index: number): Promise<StoredConversation | null>;
}

export async function openStoredRows(pivot: NamedFolder, sources: readonly NamedFolder[]): Promise<StoredRows> {
  const own = await openShards(pivot.folder, (path) => readDistributionsShard(path));
  const aligned = await Promise.all(
    sources.map(async ({ name, folder }) => ({
      name,
      shards: await openShards(folder, (path) => readAlignedShard(path)),
    })),
  );
  return {
    conversations: own.conversations,
    conversation: async (index) => {
      const found = await own.part(index);
      if (found === null) return null;
      const there = await Promise.all(
        aligned.map(async ({ name, shards }) => {
          const part = await shards.part(index);
          if (part !== null && part.rows === found.rows) return { name, ...part };
          const rows = part === null ? "none" : `${part.rows} rows`;
          throw inputError(
            shards.folder,
            `expected the pivot's ${found.rows} rows of conversation ${index}, found ${rows}`,
          );
        }),
      );
      return { pivot: found, sources: there };
    },
  };
}

interface Shards<Shard> {
  readonly folder: string;
  readonly conversations: Int32Array;
  part(index: number): Promise<StoredPart<Shard> | null>;
}

async function openShards<Shard extends Pick<DistributionsShard, "conversation" | "rowStart">>(
  folder: string,
  read: (path: string) => Promise<Shard>,
): Promise<Shards<Shard>> {
  const paths = await listShards(folder);
  const rowsOf = createRowReader();
  const parts: Int32Array[] = [];
  for (const path of paths) {
    const { tensors } = await readSafetensorsHeader(path);
    const [conversation] = await rowsOf(path, ["conversation"], 0, tensors.get("conversation")?.shape[0] ?? 0);
    if (!(conversation instanceof Int32Array)) throw inputError(`${path}: tensor "conversation"`, "expected dtype I32");
    parts.push(conversation);
  }
  let last: { readonly path: string; readonly shard: Promise<Shard> } | null = null;
  return {
    folder,
    conversations: Int32Array.from(parts.flatMap((part) => [...part])),
    part: async (index) => {
      const number = parts.findIndex((part) => part.length > 0 && index >= part[0]! && index <= part.at(-1)!);
      const path = paths[number];
      if (path === undefined || !parts[number]!.includes(index)) return null;
      if (last?.path !== path) last = { path, shard: read(path) };
      const shard = await last.shard.catch((error: unknown) => {
        last = null;
        throw error;
      });
      const place = shard.conversation.indexOf(index);
      if (place < 0) throw inputError(path, `was changed: conversation ${index} is no longer in it`);
      const first = shard.rowStart[place]!;
      return { shard, place, first, rows: shard.rowStart[place + 1]! - first };
    },
  };
}

/** What the pivot's shard has of a row, counted within the conversation. */
export function pivotRow({ shard, first }: StoredConversation["pivot"], row: number): StoredRow {
  return placesOf(shard, shard.metadata.topK, first + row);
}

/** What a source's shard has of a row of the pivot's; null where the source has no token that begins there. */
export function sourceRow({ shard, first }: StoredPart<AlignedShard>, row: number): StoredRow | null {
  if (shard.sourceRow[first + row] === -1) return null;
  return placesOf(shard, shard.topId.length / shard.sourceRow.length, first + row);
}

function placesOf({ topId, topLogp }: Pick<AlignedShard, "topId" | "topLogp">, width: number, row: number): StoredRow {
  const [from, to] = [row * width, (row + 1) * width];
  return { ids: topId.slice(from, to), logprobs: Array.from(topLogp.subarray(from, to), halfToNumber) };
}
