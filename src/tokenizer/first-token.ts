/**
 * The first token of given bytes in running text: the encoding without dummy prefix and without recognising added
 * tokens. Bytes that are not UTF-8 cannot be encoded as a text: their longest valid beginning is; where there is none,
 * a SentencePiece tokenizer has the `<0xNN>` piece of the first byte, and a byte-level one runs its merges on them.
 */
import { Tokenizer as Library } from "tokenizers";
import { inputError } from "../errors.ts";
import { withoutPrefix } from "./prefix-space.ts";
import { bytePiece, lettersOfBytes } from "./token-bytes.ts";
import { readTokenizerFile } from "./token-table.ts";

/** [texts] the first token of each text in running text, -1 for an empty one. */
export type FirstTokens = (texts: readonly Uint8Array[]) => Promise<number[]>;

/** Reads the folder's tokenizer, without its added tokens; only where first tokens are asked for. */
export async function openFirstTokens(folder: string): Promise<FirstTokens> {
  const library = await openPlainLibrary(folder);
  let pieces: Promise<FirstPiece> | undefined;
  return async (texts) => {
    const first: number[] = new Array(texts.length).fill(-1);
    const encoded: { readonly index: number; readonly text: string }[] = [];
    for (const [index, bytes] of texts.entries()) {
      if (bytes.length === 0) continue;
      const text = longestValidBeginning(bytes);
      if (text === "") {
        pieces ??= openFirstPiece(folder);
        first[index] = (await pieces)(bytes);
      } else {
        encoded.push({ index, text });
      }
    }
    const encodings = await library.encodeBatch(
      encoded.map(({ text }) => text),
      { addSpecialTokens: false },
    );
    for (const [order, { index }] of encoded.entries()) first[index] = encodings[order]?.getIds()[0] ?? -1;
    return first;
  };
}

/** Everything that can be decoded before the first byte that cannot. */
export function longestValidBeginning(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // A valid beginning ends at most three bytes into the character that is cut or broken.
    for (let length = bytes.length - 1; length > 0; length--) {
      try {
        return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, length));
      } catch {}
    }
    return "";
  }
}

async function openPlainLibrary(folder: string): Promise<Library> {
  const { file, path } = await readTokenizerFile(folder);
  const bare = { added_tokens: [], post_processor: null, truncation: null, padding: null };
  return Library.fromString(JSON.stringify({ ...withoutPrefix(file, path), ...bare }));
}

/** The first token of bytes that are no text. */
type FirstPiece = (bytes: Uint8Array) => number;

/** Few tokens need it, and its tables are as large as the vocabulary: it reads the file again. */
async function openFirstPiece(folder: string): Promise<FirstPiece> {
  const { file, definition, path } = await readTokenizerFile(folder);
  const { family, vocabulary } = definition;
  const ids = new Map(vocabulary);
  if (family === "byte-level") return mergerOf((file as { model: Record<string, unknown> }).model, ids, path);
  return (bytes) => ids.get(bytePiece(bytes[0]!)) ?? -1;
}

/** The first token after all byte-pair merges of `bytes`, none split off before. */
function mergerOf(model: Record<string, unknown>, ids: ReadonlyMap<string, number>, path: string): FirstPiece {
  if (!Array.isArray(model.merges)) throw inputError(path, "not a tokenizer: expected model.merges to be a list");
  const ranks = new Map<string, number>();
  // Files write a merge as "left right" or as ["left", "right"].
  for (const merge of model.merges) ranks.set(Array.isArray(merge) ? merge.join(" ") : String(merge), ranks.size);
  return (bytes) => {
    const letters = lettersOfBytes(bytes);
    if (model.ignore_merges === true) {
      const whole = ids.get(letters);
      if (whole !== undefined) return whole;
    }
    const parts = [...letters];
    for (;;) {
      let best = -1;
      let bestRank = Number.POSITIVE_INFINITY;
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = ranks.get(`${parts[i]} ${parts[i + 1]}`) ?? Number.POSITIVE_INFINITY;
        if (rank < bestRank) {
          best = i;
          bestRank = rank;
        }
      }
      if (best < 0) return ids.get(parts[0]!) ?? -1;
      parts.splice(best, 2, parts[best]! + parts[best + 1]!);
    }
  };
}
