/**
 * The formulas of `plan` that no engine has a part in: bytes on disk, which follow from the file formats, and what a
 * stage holds of its data. What computing takes is for the engine to say that will do it (`src/engine/estimate.ts`).
 */
import type { Conversation } from "../data/conversation.ts";

/** Bytes of a distributions shard's rows: label, span, lead, and K pairs of an id and a float16. */
export function distributionsBytes(rows: number, topK: number, vocabulary: number): number {
  return rows * (idBytes(vocabulary) + 15 + topK * (idBytes(vocabulary) + 2));
}

/** Bytes of an aligned shard's rows: the source's row, and W pairs of an id and a float16. */
export function alignedBytes(rows: number, width: number, vocabulary: number): number {
  return rows * (4 + width * (idBytes(vocabulary) + 2));
}

export function modelBytes(parameters: number, dtype: "float32" | "float16" | "bfloat16" | "float64"): number {
  return parameters * { float64: 8, float32: 4, float16: 2, bfloat16: 2 }[dtype];
}

/** Ids are stored in two bytes up to this vocabulary. */
function idBytes(vocabulary: number): number {
  return vocabulary > 65_536 ? 4 : 2;
}

/** What a training holds of its data: the texts and where everything is found, and a shard of the pivot and the source. */
export function trainingDataMemory(conversations: readonly Conversation[]): number {
  return SHARDS_BYTES + conversationsMemory(conversations);
}

/** The same of conversations that are not here, of so many tokens; a token is four characters. */
export function expectedDataMemory(conversations: number, tokens: number): number {
  return SHARDS_BYTES + CONVERSATION_BYTES * conversations + UNCOLLECTED * 4 * tokens;
}

/** A shard of 256 conversations of either side, and two batches. */
const SHARDS_BYTES = 60e6;
/** Objects, ids and places of a conversation. */
const CONVERSATION_BYTES = 1500;
/** What the collector has not yet found of them comes on top: `bench/fuse-data.mjs` measures all three together. */
const UNCOLLECTED = 1.5;

/** Texts take a byte a character where all are of Latin-1, else two. */
function conversationsMemory(conversations: readonly Conversation[]): number {
  let bytes = 0;
  for (const { turns } of conversations) {
    bytes += CONVERSATION_BYTES;
    for (const { content } of turns) bytes += UNCOLLECTED * content.length * (/[\u0100-\uffff]/.test(content) ? 2 : 1);
  }
  return bytes;
}
