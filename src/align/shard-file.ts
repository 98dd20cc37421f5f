/**
 * Aligned shards on disk (FORMATS, "aligned/<source>"): the pivot's rows, each with the source's distribution in the
 * pivot's vocabulary. Reading checks everything that training relies on.
 */
import {
  checkTop,
  column,
  conversationColumn,
  extentOf,
  LARGEST_VOCABULARY,
  MINUS_INFINITY,
  metadataText,
  nonNegative,
  readShardColumns,
  readShardMetadata,
  rowStartColumn,
  type ShardColumns,
  tensorPlace,
} from "../distributions/shard-columns.ts";
import { inputError } from "../errors.ts";
import {
  createRowReader,
  readSafetensorsHeader,
  type Tensor,
  type TensorMemory,
  writeSafetensors,
} from "../formats/safetensors.ts";
import type { AlignedMetadata, AlignedShard } from "./shard.ts";

const FORMAT = "fusechat-aligned-1";

/**
 * Reads and checks a shard, to `memory` if any; ids must lie below `vocabulary`, the width of the pivot's head, where it
 * is given.
 */
export async function readAlignedShard(
  path: string,
  vocabulary: number = LARGEST_VOCABULARY,
  memory?: TensorMemory,
): Promise<AlignedShard> {
  const columns = await readShardColumns(path, [FORMAT], memory);
  const conversation = conversationColumn(columns);
  const conversations = conversation.length;
  const rows = extentOf(columns, "source_row", 0);
  const width = extentOf(columns, "top_id", 1);
  const shard: AlignedShard = {
    metadata: {
      pivot: metadataText(columns, "pivot"),
      source: metadataText(columns, "source"),
      sequence: metadataText(columns, "sequence"),
      vocabulary: metadataText(columns, "vocabulary"),
      ...refinements(columns.metadata),
    },
    conversation,
    rowStart: rowStartColumn(columns, conversations, rows),
    sourceRow: column(columns, "source_row", ["I32"], [rows]),
    ...(columns.metadata.within !== undefined && { withinRow: column(columns, "within_row", ["I32"], [rows]) }),
    topId: column(columns, "top_id", ["U16", "U32"], [rows, width]),
    topLogp: column(columns, "top_logp", ["F16"], [rows, width]),
    ...natsColumns(columns, conversations),
  };
  if (width === 0) throw inputError(tensorPlace(path, "top_id"), "has no columns");
  checkSourceRows(path, shard, width);
  checkTop(path, shard.topId, shard.topLogp, width, vocabulary);
  return shard;
}

/** What a shard says of itself, without its rows: the source's name, and W, 0 where it has no rows. */
export async function readAlignedExtent(path: string): Promise<{ readonly source: string; readonly width: number }> {
  const source = metadataText(await readShardMetadata(path, [FORMAT]), "source");
  const { tensors } = await readSafetensorsHeader(path);
  const [rows = 0, width = 0] = tensors.get("top_id")?.shape ?? [];
  return { source, width: rows === 0 ? 0 : width };
}

/** The columns of rows. */
export type AlignedRowColumns = Pick<AlignedShard, "sourceRow" | "withinRow" | "topId" | "topLogp">;

/** What all conversations of some shards, in order, cost the pivot and the source: their nats and divisors. */
export type AlignedNats = Pick<
  AlignedShard,
  "conversation" | "pivotNats" | "sourceNats" | "pivotBytes" | "sourceBytes"
>;

/** Reads of each shard what it says of conversations, checked, and nothing of its rows. */
export async function readAlignedNats(paths: readonly string[]): Promise<AlignedNats> {
  const rowsOf = createRowReader();
  const names = ["conversation", "pivot_nats", "source_nats", "pivot_bytes", "source_bytes"];
  const parts: AlignedNats[] = [];
  for (const path of paths) {
    const { metadata } = await readShardMetadata(path, [FORMAT]);
    const { tensors: infos } = await readSafetensorsHeader(path);
    const data = await rowsOf(path, names, 0, infos.get("conversation")?.shape[0] ?? 0);
    const tensors = new Map(names.map((name, index) => [name, { ...infos.get(name)!, data: data[index]! }]));
    const columns = { path, metadata, tensors };
    const conversation = conversationColumn(columns);
    parts.push({ conversation, ...natsColumns(columns, conversation.length) });
  }
  const joined = <T extends Int32Array | Float32Array>(into: T, part: (nats: AlignedNats) => T): T => {
    let at = 0;
    for (const nats of parts) {
      into.set(part(nats), at);
      at += part(nats).length;
    }
    return into;
  };
  const count = parts.reduce((sum, { conversation }) => sum + conversation.length, 0);
  return {
    conversation: joined(new Int32Array(count), (nats) => nats.conversation),
    pivotNats: joined(new Float32Array(count), (nats) => nats.pivotNats),
    sourceNats: joined(new Float32Array(count), (nats) => nats.sourceNats),
    pivotBytes: joined(new Int32Array(count), (nats) => nats.pivotBytes),
    sourceBytes: joined(new Int32Array(count), (nats) => nats.sourceBytes),
  };
}

/** Of each conversation the nats and divisors of both models. */
function natsColumns(columns: ShardColumns, conversations: number): Omit<AlignedNats, "conversation"> {
  const count = (name: string): Int32Array =>
    nonNegative(columns, name, column(columns, name, ["I32"], [conversations]));
  const nats = (name: string): Float32Array =>
    nonNegative(columns, name, column(columns, name, ["F32"], [conversations]));
  return {
    pivotNats: nats("pivot_nats"),
    sourceNats: nats("source_nats"),
    pivotBytes: count("pivot_bytes"),
    sourceBytes: count("source_bytes"),
  };
}

/** Writes a shard atomically; the same shard gives the same bytes. */
export async function writeAlignedShard(path: string, shard: AlignedShard): Promise<void> {
  const conversations = [shard.conversation.length];
  const rows = shard.sourceRow.length;
  const width = rows === 0 ? 1 : shard.topId.length / rows;
  const idDtype = shard.topId instanceof Uint32Array ? "U32" : "U16";
  const tensors: [string, Tensor][] = [
    ["conversation", { dtype: "I32", shape: conversations, data: shard.conversation }],
    ["row_start", { dtype: "I64", shape: [shard.rowStart.length], data: BigInt64Array.from(shard.rowStart, BigInt) }],
    ["source_row", { dtype: "I32", shape: [rows], data: shard.sourceRow }],
    ...(shard.withinRow === undefined
      ? []
      : [["within_row", { dtype: "I32", shape: [rows], data: shard.withinRow }] as [string, Tensor]]),
    ["top_id", { dtype: idDtype, shape: [rows, width], data: shard.topId }],
    ["top_logp", { dtype: "F16", shape: [rows, width], data: shard.topLogp }],
    ["pivot_nats", { dtype: "F32", shape: conversations, data: shard.pivotNats }],
    ["source_nats", { dtype: "F32", shape: conversations, data: shard.sourceNats }],
    ["pivot_bytes", { dtype: "I32", shape: conversations, data: shard.pivotBytes }],
    ["source_bytes", { dtype: "I32", shape: conversations, data: shard.sourceBytes }],
  ];
  const { pivot, source, sequence, vocabulary } = shard.metadata;
  await writeSafetensors(path, tensors, {
    format: FORMAT,
    pivot,
    source,
    sequence,
    vocabulary,
    ...refinements(shard.metadata),
  });
}

/** What only some shards have. */
function refinements(metadata: Readonly<Record<string, string>> | AlignedMetadata): Partial<AlignedMetadata> {
  const { label_mass, divide, within } = metadata;
  return {
    ...(label_mass !== undefined && { label_mass }),
    ...(divide !== undefined && { divide }),
    ...(within !== undefined && { within }),
  };
}

/** Unused places have id 0, and a row without a source row has no other. */
function checkSourceRows(path: string, shard: AlignedShard, width: number): void {
  const { sourceRow, withinRow, topId, topLogp } = shard;
  for (let row = 0; row < sourceRow.length; row++) {
    if (sourceRow[row]! < -1) {
      throw inputError(tensorPlace(path, "source_row"), `expected at least -1, row ${row} has ${sourceRow[row]}`);
    }
    const within = withinRow?.[row] ?? -1;
    if (within < -1 || (within >= 0 && sourceRow[row] !== -1)) {
      const expected = sourceRow[row] === -1 ? "at least -1" : "-1 beside a row of the source";
      throw inputError(tensorPlace(path, "within_row"), `expected ${expected}, row ${row} has ${within}`);
    }
    if (sourceRow[row] === -1 && within === -1 && topLogp[row * width] !== MINUS_INFINITY) {
      throw inputError(tensorPlace(path, "top_logp"), `row ${row} has a distribution, but no row of the source`);
    }
  }
  for (let i = 0; i < topId.length; i++) {
    if (topLogp[i] === MINUS_INFINITY && topId[i] !== 0) {
      const where = tensorPlace(path, "top_id");
      throw inputError(where, `expected 0 in unused places, row ${Math.floor(i / width)} has ${topId[i]}`);
    }
  }
}
