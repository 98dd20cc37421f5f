/**
 * Shards of distributions on disk (FORMATS, "distributions/<model>"): one safetensors file of plain columns, so that
 * any program can read it. Reading checks everything that a later stage relies on.
 */
import { checkTemplateSettings, settingsOf, type TemplateIdentity } from "../data/template-settings.ts";
import { inputError } from "../errors.ts";
import { type Tensor, type TensorMemory, writeSafetensors } from "../formats/safetensors.ts";
import type { DistributionsMetadata, DistributionsShard } from "./shard.ts";
import {
  checkTop,
  column,
  conversationColumn,
  extentOf,
  LARGEST_VOCABULARY,
  metadataCount,
  metadataText,
  nonNegative,
  readShardColumns,
  readShardMetadata,
  rowStartColumn,
  rowsColumn,
  type ShardMetadata,
  tensorPlace,
} from "./shard-columns.ts";

export { listShards } from "./folder.ts";

const FORMAT = "fusechat-distributions-2";
/** Of sampled rows, whose values mean something else: a program that knows format 2 alone must not read them. */
const SAMPLED_FORMAT = "fusechat-distributions-3";
const FORMATS = [FORMAT, SAMPLED_FORMAT] as const;

/** Token ids above this need U32. */
const WIDEST_U16_VOCABULARY = 65_536;
export const SHA256_BYTES = 32;
/** More tokens a row are no longer a sparse distribution. */
const LARGEST_TOP_K = 65_535;

/** An array for `length` token ids of a vocabulary, two bytes each where they suffice; at the beginning of `buffer`, if any. */
export function tokenIds(vocabulary: number, length: number, buffer?: ArrayBuffer): Uint16Array | Uint32Array {
  const Ids = vocabulary > WIDEST_U16_VOCABULARY ? Uint32Array : Uint16Array;
  return buffer === undefined ? new Ids(length) : new Ids(buffer, 0, length);
}

/** Reads and checks a shard, to `memory` if any; errors name the file and the tensor. */
export async function readDistributionsShard(path: string, memory?: TensorMemory): Promise<DistributionsShard> {
  const columns = await readShardColumns(path, FORMATS, memory);
  const metadata = metadataOf(columns);
  const { vocabulary, topK } = metadata;
  const conversation = conversationColumn(columns);
  const conversations = conversation.length;
  const rows = extentOf(columns, "token", 0);
  const idDtype = vocabulary > WIDEST_U16_VOCABULARY ? "U32" : "U16";
  const shard: DistributionsShard = {
    metadata,
    conversation,
    conversationSha256: column(columns, "conversation_sha256", ["U8"], [conversations, SHA256_BYTES]),
    idsSha256: column(columns, "ids_sha256", ["U8"], [conversations, SHA256_BYTES]),
    bytes: nonNegative(columns, "bytes", column(columns, "bytes", ["I32"], [conversations])),
    rowStart: rowStartColumn(columns, conversations, rows),
    turn: column(columns, "turn", ["U16"], [rows]),
    byteStart: nonNegative(columns, "byte_start", column(columns, "byte_start", ["I32"], [rows])),
    byteEnd: column(columns, "byte_end", ["I32"], [rows]),
    lead: column(columns, "lead", ["U8"], [rows]),
    token: column(columns, "token", [idDtype], [rows]),
    labelLogp: column(columns, "label_logp", ["F32"], [rows]),
    topId: column(columns, "top_id", [idDtype], [rows, topK]),
    topLogp: column(columns, "top_logp", ["F16"], [rows, topK]),
    endOfTurn: rowsColumn(columns, "end_of_turn", rows),
    leftOutRow: rowsColumn(columns, "left_out_row", rows),
    leftOut: column(columns, "left_out", ["I64"], [extentOf(columns, "left_out_row", 0)]),
  };
  checkSpans(path, shard);
  checkEndOfTurn(path, shard);
  checkLabels(path, shard);
  checkTop(path, shard.topId, shard.topLogp, topK, vocabulary);
  return shard;
}

/** The columns of rows that a target distribution is made of. */
export type DistributionsRowColumns = Pick<
  DistributionsShard,
  "metadata" | "token" | "labelLogp" | "byteStart" | "byteEnd" | "topId" | "topLogp"
>;

/** What a shard says of itself, without its rows. */
export async function readDistributionsMetadata(path: string): Promise<DistributionsMetadata> {
  return metadataOf(await readShardMetadata(path, FORMATS));
}

/** Writes a shard atomically; the same shard gives the same bytes. */
export async function writeDistributionsShard(path: string, shard: DistributionsShard): Promise<void> {
  const { metadata } = shard;
  const conversations = shard.conversation.length;
  const rows = shard.token.length;
  const idDtype = shard.topId instanceof Uint32Array ? "U32" : "U16";
  const tensors: [string, Tensor][] = [
    ["conversation", { dtype: "I32", shape: [conversations], data: shard.conversation }],
    ["conversation_sha256", { dtype: "U8", shape: [conversations, SHA256_BYTES], data: shard.conversationSha256 }],
    ["ids_sha256", { dtype: "U8", shape: [conversations, SHA256_BYTES], data: shard.idsSha256 }],
    ["bytes", { dtype: "I32", shape: [conversations], data: shard.bytes }],
    ["row_start", { dtype: "I64", shape: [conversations + 1], data: BigInt64Array.from(shard.rowStart, BigInt) }],
    ["end_of_turn", { dtype: "I32", shape: [shard.endOfTurn.length], data: shard.endOfTurn }],
    ["left_out_row", { dtype: "I32", shape: [shard.leftOutRow.length], data: shard.leftOutRow }],
    ["left_out", { dtype: "I64", shape: [shard.leftOut.length], data: shard.leftOut }],
    ["turn", { dtype: "U16", shape: [rows], data: shard.turn }],
    ["byte_start", { dtype: "I32", shape: [rows], data: shard.byteStart }],
    ["byte_end", { dtype: "I32", shape: [rows], data: shard.byteEnd }],
    ["lead", { dtype: "U8", shape: [rows], data: shard.lead }],
    ["token", { dtype: idDtype, shape: [rows], data: shard.token }],
    ["label_logp", { dtype: "F32", shape: [rows], data: shard.labelLogp }],
    ["top_id", { dtype: idDtype, shape: [rows, metadata.topK], data: shard.topId }],
    ["top_logp", { dtype: "F16", shape: [rows, metadata.topK], data: shard.topLogp }],
  ];
  await writeSafetensors(path, tensors, {
    format: metadata.rows === undefined ? FORMAT : SAMPLED_FORMAT,
    model: metadata.model,
    weights_sha256: metadata.weightsSha256,
    ...(metadata.served === undefined ? {} : { served: metadata.served }),
    tokenizer_sha256: metadata.tokenizerSha256,
    template: metadata.template,
    template_sha256: metadata.templateSha256,
    special_tokens_sha256: metadata.specialTokensSha256,
    template_name: metadata.templateName,
    template_variables: metadata.templateVariables,
    date: metadata.date,
    top_k: String(metadata.topK),
    ...(metadata.rows === undefined ? {} : { rows: metadata.rows }),
    vocabulary: String(metadata.vocabulary),
    max_length: String(metadata.maxLength),
  });
}

function metadataOf(shard: ShardMetadata): DistributionsMetadata {
  const template = metadataText(shard, "template");
  if (template !== "native" && template !== "pivot") {
    throw inputError(shard.path, `expected "native" or "pivot" as metadata "template", found "${template}"`);
  }
  const identity: TemplateIdentity = {
    templateSha256: metadataText(shard, "template_sha256"),
    specialTokensSha256: metadataText(shard, "special_tokens_sha256"),
    templateName: metadataText(shard, "template_name"),
    templateVariables: metadataText(shard, "template_variables"),
    date: metadataText(shard, "date"),
  };
  checkIdentity(shard.path, identity);
  return {
    model: metadataText(shard, "model"),
    weightsSha256: metadataText(shard, "weights_sha256"),
    ...(Object.hasOwn(shard.metadata, "served") ? { served: metadataText(shard, "served") } : {}),
    tokenizerSha256: metadataText(shard, "tokenizer_sha256"),
    template,
    ...identity,
    topK: metadataCount(shard, "top_k", LARGEST_TOP_K),
    ...sampledRows(shard),
    vocabulary: metadataCount(shard, "vocabulary", LARGEST_VOCABULARY),
    maxLength: metadataCount(shard, "max_length", 2 ** 31 - 1),
  };
}

function sampledRows(shard: ShardMetadata): Pick<DistributionsMetadata, "rows"> {
  if (metadataText(shard, "format") === FORMAT) return {};
  const rows = metadataText(shard, "rows");
  if (rows === "sampled") return { rows };
  throw inputError(shard.path, `expected "sampled" as metadata "rows", found ${JSON.stringify(rows.slice(0, 40))}`);
}

/** What prompts were rendered with must be something that prompts can be rendered with again. */
function checkIdentity(path: string, identity: TemplateIdentity): void {
  const { templateVariables } = identity;
  if (!isMapping(templateVariables)) {
    const found = JSON.stringify(templateVariables.slice(0, 40));
    throw inputError(path, `expected a JSON mapping as metadata "template_variables", found ${found}`);
  }
  checkTemplateSettings(settingsOf(identity), path);
}

function isMapping(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** Spans run forwards, and within a conversation turns and starts never descend: alignment walks them once. */
function checkSpans(path: string, shard: DistributionsShard): void {
  const { rowStart, turn, byteStart, byteEnd } = shard;
  for (let n = 0; n < shard.conversation.length; n++) {
    for (let row = rowStart[n]!; row < rowStart[n + 1]!; row++) {
      if (byteEnd[row]! < byteStart[row]!) {
        const where = tensorPlace(path, "byte_end");
        throw inputError(where, `row ${row} ends at byte ${byteEnd[row]}, before its start at ${byteStart[row]}`);
      }
      if (row === rowStart[n]) continue;
      if (turn[row]! < turn[row - 1]!) {
        throw inputError(tensorPlace(path, "turn"), `descends from ${turn[row - 1]} to ${turn[row]} at row ${row}`);
      }
      if (turn[row] === turn[row - 1] && byteStart[row]! < byteStart[row - 1]!) {
        const where = tensorPlace(path, "byte_start");
        throw inputError(where, `descends from ${byteStart[row - 1]} to ${byteStart[row]} at row ${row}`);
      }
    }
  }
}

/** An end-of-turn row is the last of its turn and takes no bytes of it. */
function checkEndOfTurn(path: string, { rowStart, turn, byteStart, byteEnd, endOfTurn }: DistributionsShard): void {
  let n = 0;
  for (const row of endOfTurn) {
    while (rowStart[n + 1]! <= row) n++;
    const last = row + 1 === rowStart[n + 1] || turn[row + 1] !== turn[row];
    if (last && byteStart[row] === byteEnd[row]) continue;
    const where = tensorPlace(path, "end_of_turn");
    throw inputError(where, `expected the last rows of turns, with empty spans, found row ${row}`);
  }
}

function checkLabels(path: string, shard: DistributionsShard): void {
  const { token, labelLogp } = shard;
  const { vocabulary } = shard.metadata;
  for (let row = 0; row < token.length; row++) {
    if (token[row]! >= vocabulary) {
      const where = tensorPlace(path, "token");
      throw inputError(where, `row ${row} has id ${token[row]}, the vocabulary ends at ${vocabulary - 1}`);
    }
    const logp = labelLogp[row]!;
    if (!(logp <= 0 && logp > -Infinity)) {
      const where = tensorPlace(path, "label_logp");
      throw inputError(where, `expected finite log-probabilities of at most 0, row ${row} has ${logp}`);
    }
  }
}
