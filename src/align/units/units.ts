/**
 * The units of an alignment: each shard of the pivot with the source's shards that have conversations of its range.
 * Shards may be cut differently on the two sides, and either model may have refused conversations. Units are found by
 * the shards' headers; whoever works on one reads and checks the shards themselves, one a side in memory.
 */
import { listShards } from "../../distributions/folder.ts";
import { readDistributionsShard } from "../../distributions/shard-file.ts";
import { inputError } from "../../errors.ts";
import { readSafetensorsHeader, readTensorBytes, type TensorMemory } from "../../formats/safetensors.ts";
import { type Part, part, type Side } from "../paired-conversations.ts";
import { rowSpans } from "../sequence.ts";
import { createShardMemory } from "./shard-memory.ts";
import type { TokenBytes } from "./shared-vocabulary.ts";

export interface Unit {
  /** Path of the pivot's shard, and paths of the source's, in order. */
  readonly pivot: string;
  readonly sources: readonly string[];
}

interface ShardHeader {
  readonly path: string;
  /** Conversations of the shard: the first, the last; of a shard without any, nothing lies between them. */
  readonly first: number;
  readonly last: number;
}

/** The units in the order of the pivot's shards. */
export async function listUnits(pivot: string, source: string): Promise<Unit[]> {
  const sources = await readHeaders(source);
  return (await readHeaders(pivot)).map(({ path, first, last }) => ({
    pivot: path,
    sources: sources.filter((shard) => shard.first <= last && shard.last >= first).map((shard) => shard.path),
  }));
}

/** The headers of a folder's shards, checked against each other: one model, one vocabulary, one order. */
async function readHeaders(folder: string): Promise<ShardHeader[]> {
  const headers: ShardHeader[] = [];
  let metadata: Readonly<Record<string, string>> | undefined;
  let before = -Infinity;
  for (const path of await listShards(folder)) {
    const header = await readSafetensorsHeader(path);
    metadata ??= header.metadata;
    for (const key of Object.keys(metadata)) {
      if (header.metadata[key] === metadata[key]) continue;
      const [found, expected] = [header.metadata[key], metadata[key]].map(
        (value) => JSON.stringify(value) ?? "missing",
      );
      throw inputError(path, `its ${key} is ${found}, that of ${headers[0]!.path} is ${expected}`);
    }
    const info = header.tensors.get("conversation");
    // What is no such column is told by whoever reads the whole shard.
    if (info?.dtype !== "I32") {
      headers.push({ path, first: -Infinity, last: Infinity });
      continue;
    }
    const bytes = await readTensorBytes(info);
    const conversations = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const first = conversations[0] ?? Infinity;
    if (first <= before) {
      throw inputError(path, `begins with conversation ${first}, the shard before ends with ${before}`);
    }
    before = conversations.at(-1) ?? before;
    headers.push({ path, first, last: conversations.at(-1) ?? -Infinity });
  }
  return headers;
}

/**
 * A unit's shard of the pivot, and a function that finds the source's part of a conversation; ask in ascending order. A
 * part must not be used any more once the next is asked for: its shard's memory may then be another's.
 */
export interface OpenedUnit {
  readonly pivot: Side;
  find(conversation: number): Promise<Part | null>;
}

export interface UnitReader {
  /** What was opened before must not be used any more: its memory is used again. */
  open(unit: Unit): Promise<OpenedUnit>;
}

/** Keeps the source's shard that was read last: the next unit often begins in it. */
export function createUnitReader(pivotVocabulary: TokenBytes, sourceVocabulary: TokenBytes): UnitReader {
  const pivotMemory = createShardMemory();
  const sourceMemory = createShardMemory();
  let source: Side | undefined;
  const readSource = async (path: string): Promise<Side> => {
    if (source?.path === path) return source;
    source = undefined;
    source = await readSide(path, sourceVocabulary, sourceMemory);
    return source;
  };
  return {
    open: async ({ pivot, sources }) => {
      let number = 0;
      let index = 0;
      const find = async (conversation: number): Promise<Part | null> => {
        while (number < sources.length) {
          const side = await readSource(sources[number]!);
          const indices = side.shard.conversation;
          while (index < indices.length && indices[index]! < conversation) index++;
          if (index < indices.length) return indices[index] === conversation ? part(side, index) : null;
          number++;
          index = 0;
        }
        return null;
      };
      return { pivot: await readSide(pivot, pivotVocabulary, pivotMemory), find };
    },
  };
}

async function readSide(path: string, vocabulary: TokenBytes, memory: TensorMemory): Promise<Side> {
  const shard = await readDistributionsShard(path, memory);
  return { path, shard, spans: rowSpans(shard, vocabulary) };
}
