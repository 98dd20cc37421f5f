/**
 * A tokenizer's vocabulary as bytes, the only thing that two tokenizers have in common: the bytes of every id, and the
 * id of given bytes. Special tokens and ids without a token (the padding of a head) have no bytes.
 */
import type { TokenTable } from "../tokenizer/tokenizer.ts";
import { indexBytes } from "./byte-index.ts";

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
export function readVocabulary(tokens: TokenTable, size: number): Vocabulary {
  const byteLength = new Int32Array(size).fill(-1);
  const special = new Uint8Array(size);
  const start = new Int32Array(size + 1);
  const own = (id: number): Uint8Array | null => (id < tokens.size ? tokens.tokenBytes(id) : null);
  for (let id = 0; id < size; id++) {
    if (id < tokens.size && tokens.isSpecial(id)) special[id] = 1;
    const length = own(id)?.length ?? 0;
    if (length > 0) byteLength[id] = length;
    start[id + 1] = start[id]! + length;
  }
  const all = new Uint8Array(start[size]!);
  for (let id = 0; id < size; id++) if (byteLength[id]! > 0) all.set(own(id)!, start[id]);
  return {
    size,
    byteLength,
    special,
    bytes: (id) => all.subarray(start[id]!, start[id + 1]!),
    find: indexBytes(all, start, tokens.tokenRank),
  };
}
