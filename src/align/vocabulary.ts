/**
 * A tokenizer's vocabulary as bytes, the only thing that two tokenizers have in common: the bytes of every id, and the
 * id of given bytes. Special tokens and ids without a token (the padding of a head) have no bytes.
 */
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

export interface Vocabulary {
  /** Width of the model's head: ids are below it, whether they have a token or not. */
  readonly size: number;
  /** [size] how many bytes the token has, -1 where it has none to speak of. */
  readonly byteLength: Int32Array;
  /** [size] 1 for special tokens. */
  readonly special: Uint8Array;
  /** The token's bytes; empty where `byteLength` is -1. Not to be written to. */
  bytes(id: number): Uint8Array;
  /**
   * The token with these bytes, or -1. Where several have them: an ordinary piece before a byte piece before an added
   * token, then the lowest id.
   */
  find(bytes: Uint8Array): number;
}

/** Reads the vocabulary of a model whose head is `size` ids wide. */
export function readVocabulary(tokenizer: Tokenizer, size: number): Vocabulary {
  const byteLength = new Int32Array(size).fill(-1);
  const special = new Uint8Array(size);
  const start = new Int32Array(size + 1);
  const rank = new Uint8Array(size);
  const pieces: Uint8Array[] = [];
  const idOfBytes = new Map<string, number>();
  let total = 0;
  for (let id = 0; id < size; id++) {
    start[id] = total;
    if (id >= tokenizer.size) continue;
    if (tokenizer.isSpecial(id)) special[id] = 1;
    const bytes = tokenizer.tokenBytes(id);
    if (bytes === null || bytes.length === 0) continue;
    byteLength[id] = bytes.length;
    pieces.push(bytes);
    total += bytes.length;
    rank[id] = tokenizer.tokenRank(id);
    const key = keyOf(bytes);
    const other = idOfBytes.get(key);
    if (other === undefined || rank[id]! < rank[other]!) idOfBytes.set(key, id);
  }
  start[size] = total;
  const all = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return {
    size,
    byteLength,
    special,
    bytes: (id) => all.subarray(start[id]!, start[id + 1]!),
    find: (bytes) => (bytes.length === 0 ? -1 : (idOfBytes.get(keyOf(bytes)) ?? -1)),
  };
}

/** Bytes as a string of one character each: what a Map can compare. */
function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
