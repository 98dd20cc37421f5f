/** One shard's worth of conversations through a model: rows in batches, in order, into the columns of the shard. */
import { createHash } from "node:crypto";
import type { TokenisedConversation } from "../data/conversation.ts";
import type { EngineModel, Sequence, Watch } from "../engine/engine.ts";
import { isLogProbability } from "../engine/log-probability.ts";
import { type FusechatError, failure, inputError } from "../errors.ts";
import { numberToHalf } from "../formats/float.ts";
import type { DistributionsMetadata, DistributionsShard } from "./shard.ts";
import { SHA256_BYTES, tokenIds } from "./shard-file.ts";

/**
 * Tokens handed to the engine at once: enough for it to sort by length, and to read a large model from its files once
 * for all of them (a twentieth of the time at the least number); few enough that progress shows and that Ctrl-C loses
 * or waits for little: minutes for a model of some thousand million parameters on two cores.
 */
const MOST_TOKENS = 32_768;
const LEAST_TOKENS = 8_192;
/** Tokens times parameters of a call in between. */
const CALL_WORK = 3.5e13;

export function callTokens(parameters: number): number {
  return Math.max(LEAST_TOKENS, Math.min(MOST_TOKENS, Math.floor(CALL_WORK / parameters)));
}

export interface ShardWork {
  /** What an earlier call has computed of the first conversations. */
  readonly begun: DistributionsShard | undefined;
  /** Is handed the shard of those that are done, while some are left. */
  readonly onBatch: (part: DistributionsShard) => Promise<void>;
  /** Of sampled rows: the numbers [rows] that a conversation's are drawn by. */
  readonly uniformOf?: (conversation: TokenisedConversation) => Float32Array;
  /** Told of conversations done within a call to the engine, by engines whose calls take long. */
  readonly watch?: Watch;
}

/**
 * Computes the rows of all conversations. They are cut into the same calls to the engine whether it begins in the middle
 * or not, so that the result has the same bytes.
 */
export async function computeShard(
  model: EngineModel,
  metadata: DistributionsMetadata,
  conversations: readonly TokenisedConversation[],
  { begun, onBatch, uniformOf, watch = {} }: ShardWork,
): Promise<DistributionsShard> {
  const shard = layOutShard(metadata, conversations);
  const { topK } = metadata;
  let done = begun === undefined ? 0 : takeOver(shard, begun);
  while (done < conversations.length) {
    const before = done;
    const batch = takeBatch(conversations, done, model.callTokens ?? callTokens(model.parameters ?? 0));
    const { labelLogp, topId, topLogp } = await model.rows(
      batch.map((one) => sequenceOf(one, uniformOf)),
      topK,
      { ...watch, onProgress: (count) => watch.onProgress?.(before + count) },
    );
    const firstRow = shard.rowStart[done]!;
    for (let row = 0; row < labelLogp.length; row++) {
      const logp = labelLogp[row]!;
      if (logp === -Infinity || !isLogProbability(logp)) throw badLogp(model, batch, row, "the label's", logp);
      shard.labelLogp[firstRow + row] = Math.min(0, logp);
    }
    shard.topId.set(topId, firstRow * topK);
    for (let k = 0; k < topLogp.length; k++) {
      const logp = topLogp[k]!;
      if (!isLogProbability(logp)) throw badLogp(model, batch, Math.floor(k / topK), "a token's", logp);
      shard.topLogp[firstRow * topK + k] = numberToHalf(Math.min(0, logp));
    }
    done += batch.length;
    if (done < conversations.length) await onBatch(firstConversations(shard, done));
  }
  return shard;
}

/** What an engine is asked of a conversation. */
export function sequenceOf(one: TokenisedConversation, uniformOf: ShardWork["uniformOf"]): Sequence {
  const { conversation, ids, rows } = one;
  return {
    ids,
    positions: rows.position,
    conversation,
    ...(uniformOf === undefined ? {} : { uniform: uniformOf(one) }),
  };
}

function badLogp(
  { folder }: EngineModel,
  batch: readonly TokenisedConversation[],
  row: number,
  whose: string,
  logp: number,
): FusechatError {
  const { conversation } = batch[rowOwner(batch, row)]!;
  return failure(folder, `conversation ${conversation}: ${whose} log-probability came out as ${logp}`);
}

/** The shard of the first `count` conversations, on the same memory. */
function firstConversations(shard: DistributionsShard, count: number): DistributionsShard {
  const rows = shard.rowStart[count]!;
  const { topK } = shard.metadata;
  return {
    metadata: shard.metadata,
    conversation: shard.conversation.subarray(0, count),
    conversationSha256: shard.conversationSha256.subarray(0, count * SHA256_BYTES),
    idsSha256: shard.idsSha256.subarray(0, count * SHA256_BYTES),
    bytes: shard.bytes.subarray(0, count),
    rowStart: shard.rowStart.subarray(0, count + 1),
    turn: shard.turn.subarray(0, rows),
    byteStart: shard.byteStart.subarray(0, rows),
    byteEnd: shard.byteEnd.subarray(0, rows),
    lead: shard.lead.subarray(0, rows),
    token: shard.token.subarray(0, rows),
    labelLogp: shard.labelLogp.subarray(0, rows),
    topId: shard.topId.subarray(0, rows * topK),
    topLogp: shard.topLogp.subarray(0, rows * topK),
    endOfTurn: below(shard.endOfTurn, rows),
    leftOutRow: below(shard.leftOutRow, rows),
    leftOut: shard.leftOut.subarray(0, below(shard.leftOutRow, rows).length),
  };
}

/** The ascending values below a bound. */
function below(values: Int32Array, bound: number): Int32Array {
  const end = values.findIndex((value) => value >= bound);
  return end < 0 ? values : values.subarray(0, end);
}

/** Copies the probabilities of a shard's first conversations; how many there are, 0 where they are others. */
function takeOver(shard: DistributionsShard, begun: DistributionsShard): number {
  const count = begun.conversation.length;
  const same =
    count <= shard.conversation.length &&
    begun.conversation.every((index, n) => index === shard.conversation[n]) &&
    begun.idsSha256.every((byte, at) => byte === shard.idsSha256[at]) &&
    begun.rowStart.every((start, n) => start === shard.rowStart[n]);
  if (!same) return 0;
  shard.labelLogp.set(begun.labelLogp);
  shard.topId.set(begun.topId);
  shard.topLogp.set(begun.topLogp);
  return count;
}

/** The shard without its probabilities: they are zeros. */
export function layOutShard(
  metadata: DistributionsMetadata,
  conversations: readonly TokenisedConversation[],
): DistributionsShard {
  const rowStart = new Float64Array(conversations.length + 1);
  conversations.forEach(({ rows }, n) => {
    rowStart[n + 1] = rowStart[n]! + rows.position.length;
  });
  const rows = rowStart[conversations.length]!;
  const shard: DistributionsShard = {
    metadata,
    conversation: Int32Array.from(conversations, (one) => one.conversation),
    conversationSha256: Buffer.concat(conversations.map(({ id }) => Buffer.from(id, "hex"))),
    idsSha256: Buffer.concat(conversations.map(({ ids }) => idsSha256(ids))),
    bytes: Int32Array.from(conversations, (one) => one.bytes),
    rowStart,
    turn: new Uint16Array(rows),
    byteStart: new Int32Array(rows),
    byteEnd: new Int32Array(rows),
    lead: new Uint8Array(rows),
    token: tokenIds(metadata.vocabulary, rows),
    labelLogp: new Float32Array(rows),
    topId: tokenIds(metadata.vocabulary, rows * metadata.topK),
    topLogp: new Uint16Array(rows * metadata.topK),
    endOfTurn: inShard(conversations, rowStart, ({ endOfTurn }) => endOfTurn),
    leftOutRow: inShard(conversations, rowStart, ({ leftOutRow }) => leftOutRow),
    leftOut: BigInt64Array.from(conversations.flatMap((one) => [...one.rows.leftOut])),
  };
  conversations.forEach(({ conversation, ids, rows: own }, n) => {
    const at = rowStart[n]!;
    shard.turn.set(own.turn, at);
    shard.byteStart.set(own.byteStart, at);
    shard.byteEnd.set(own.byteEnd, at);
    shard.lead.set(own.lead, at);
    own.position.forEach((position, row) => {
      shard.token[at + row] = ids[position]!;
    });
    const beyond = ids.find((id) => id >= metadata.vocabulary);
    if (beyond !== undefined) {
      throw inputError(
        metadata.model,
        `conversation ${conversation} has the token ${beyond}, but the model's head ends at ${metadata.vocabulary - 1}; its tokenizer is another model's`,
      );
    }
  });
  return shard;
}

/** Rows of conversations as rows of the shard. */
function inShard(
  conversations: readonly TokenisedConversation[],
  rowStart: Float64Array,
  rowsOf: (rows: TokenisedConversation["rows"]) => Int32Array,
): Int32Array {
  return Int32Array.from(conversations.flatMap(({ rows }, n) => Array.from(rowsOf(rows), (row) => rowStart[n]! + row)));
}

/** The hash by which prompts are told apart: over all ids of a conversation, as little-endian I32. */
export function idsSha256(ids: Int32Array): Buffer {
  return createHash("sha256")
    .update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength))
    .digest();
}

/** The conversations from `first` on that fit into one call, at least one. */
function takeBatch(
  conversations: readonly TokenisedConversation[],
  first: number,
  limit: number,
): TokenisedConversation[] {
  const batch: TokenisedConversation[] = [];
  let tokens = 0;
  for (let n = first; n < conversations.length; n++) {
    tokens += conversations[n]!.ids.length;
    if (batch.length > 0 && tokens > limit) break;
    batch.push(conversations[n]!);
  }
  return batch;
}

/** Which conversation of a batch has its `row`-th row. */
function rowOwner(batch: readonly TokenisedConversation[], row: number): number {
  let left = row;
  return batch.findIndex(({ rows }) => {
    left -= rows.position.length;
    return left < 0;
  });
}
