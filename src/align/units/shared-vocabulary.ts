/** A vocabulary's bytes in memory that all threads of the process share: a second copy of 152k tokens takes no room. */
import type { Vocabulary } from "../vocabulary.ts";

/** What a walk over rows needs of a vocabulary: it never looks for a token by its bytes. */
export type TokenBytes = Omit<Vocabulary, "find">;

/** All tokens' bytes end to end; crosses to another thread without being copied. */
export interface SharedVocabulary {
  readonly size: number;
  readonly byteLength: Int32Array;
  readonly special: Uint8Array;
  /** [size + 1] the bytes of token id are all[start[id]] .. all[start[id + 1] - 1]. */
  readonly start: Int32Array;
  readonly all: Uint8Array;
}

export function shareVocabulary({ size, byteLength, special, bytes }: TokenBytes): SharedVocabulary {
  const start = new Int32Array(new SharedArrayBuffer(4 * (size + 1)));
  for (let id = 0; id < size; id++) start[id + 1] = start[id]! + Math.max(0, byteLength[id]!);
  const all = new Uint8Array(new SharedArrayBuffer(start[size]!));
  for (let id = 0; id < size; id++) if (byteLength[id]! > 0) all.set(bytes(id), start[id]!);
  const sharedLength = new Int32Array(new SharedArrayBuffer(4 * size));
  sharedLength.set(byteLength);
  const sharedSpecial = new Uint8Array(new SharedArrayBuffer(size));
  sharedSpecial.set(special);
  return { size, byteLength: sharedLength, special: sharedSpecial, start, all };
}

export function openVocabulary({ start, all, ...shared }: SharedVocabulary): TokenBytes {
  return { ...shared, bytes: (id) => all.subarray(start[id]!, start[id + 1]!) };
}
