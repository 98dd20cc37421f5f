/**
 * The first token of given bytes in running text: the encoding without dummy prefix and without recognising added
 * tokens. Bytes that are not UTF-8 cannot be encoded as a text: their longest valid beginning is; where there is none,
 * a SentencePiece tokenizer has the `<0xNN>` piece of the first byte, and a byte-level one runs its merges on them.
 */
import { inputError } from "../errors.ts";
import { readSteps, type TokenizerDefinition } from "./definition.ts";
import { firstIds } from "./library.ts";
import { joinedJson, type ModelTables } from "./model-tables.ts";
import { nfc } from "./nfc-clusters.ts";
import { withoutPrefix } from "./prefix-space.ts";
import { reduceTables } from "./reduced-model.ts";
import { bytePiece, lettersOfBytes } from "./token-bytes.ts";
import { readTokenizerFile } from "./token-table.ts";

/** [texts] the first token of each text in running text, -1 for an empty one. */
export type FirstTokens = (texts: readonly Uint8Array[]) => Promise<number[]>;

/** The model of a `tokenizer.json` without its tables, as far as it is looked into. */
interface BpeModel {
  readonly unk_token?: unknown;
  readonly ignore_merges?: unknown;
}

/**
 * Reads the folder's tokenizer, without its added tokens; only where first tokens are asked for. Every call makes a
 * library of what its texts can need: ask for many at once.
 */
export async function openFirstTokens(folder: string): Promise<FirstTokens> {
  // Not the definition as a whole: its list of the vocabulary would stay as long as this.
  const {
    file,
    tables,
    path,
    definition: { family, nfc: composes },
  } = await readTokenizerFile(folder);
  const bare = {
    ...withoutPrefix(file, path),
    added_tokens: [],
    post_processor: null,
    truncation: null,
    padding: null,
  };
  const { model } = file as { readonly model: BpeModel };
  if (tables === null) throw inputError(path, "not a tokenizer: expected model.merges to be a list");
  const spell = spellingOf({ family, nfc: composes }, file, path);
  return async (texts) => {
    const first: number[] = new Array(texts.length).fill(-1);
    const encoded: { readonly index: number; readonly text: string }[] = [];
    const broken: number[] = [];
    for (const [index, bytes] of texts.entries()) {
      if (bytes.length === 0) continue;
      const text = longestValidBeginning(bytes);
      if (text === "") broken.push(index);
      else encoded.push({ index, text });
    }
    if (broken.length > 0) {
      const piece = firstPiece(
        model,
        tables,
        family,
        broken.map((index) => texts[index]!),
      );
      for (const index of broken) first[index] = piece(texts[index]!);
    }
    if (encoded.length === 0) return first;
    const needed =
      spell === null
        ? tables
        : reduceTables(
            tables,
            model.unk_token,
            encoded.map(({ text }) => spell(text)),
          );
    const ids = await firstIds(
      path,
      joinedJson({ file: { ...bare, model }, tables: needed }),
      encoded.map(({ text }) => text),
    );
    for (const [order, { index }] of encoded.entries()) first[index] = ids[order]!;
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

/** Pre-tokenizers that leave parts of the text as they are, besides the one that spells it in letters or with `▁`. */
const CUTTING = [
  ...["Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit", "BertPreTokenizer", "CharDelimiterSplit"],
  ...["UnicodeScripts", "FixedLength"],
];

/** How a text looks to the model before it is cut, or null where that is not known. */
function spellingOf(
  { family, nfc: composes }: Pick<TokenizerDefinition, "family" | "nfc">,
  file: object,
  path: string,
): ((text: string) => string) | null {
  const spells = family === "byte-level" ? "ByteLevel" : "Metaspace";
  const { preTokenizers } = readSteps(file, path);
  const others = preTokenizers.filter(({ type }) => !CUTTING.includes(type));
  if (others.length > 1 || others.some(({ type }) => type !== spells)) return null;
  if (family === "sentencepiece") return (text) => text.replaceAll(" ", "▁");
  return (text) => lettersOfBytes(Buffer.from(composes ? nfc(text) : text, "utf8"));
}

/** The first token of bytes that are no text: few tokens need it. */
function firstPiece(
  model: BpeModel,
  tables: ModelTables,
  family: TokenizerDefinition["family"],
  bytes: readonly Uint8Array[],
): (bytes: Uint8Array) => number {
  if (family === "byte-level") return mergerOf(model, reduceTables(tables, model.unk_token, bytes.map(lettersOfBytes)));
  const wanted = new Set(bytes.map(([byte]) => bytePiece(byte!)));
  const ids = idsOf(tables.vocabulary, (piece) => wanted.has(piece));
  return ([byte]) => ids.get(bytePiece(byte!)) ?? -1;
}

function idsOf(vocabulary: ModelTables["vocabulary"], isWanted: (piece: string) => boolean): Map<string, number> {
  const ids = new Map<string, number>();
  for (const [piece, id] of vocabulary.entries()) if (isWanted(piece)) ids.set(piece, Number(id));
  return ids;
}

/** The first token after all byte-pair merges of `bytes`, none split off before. */
function mergerOf(model: BpeModel, { vocabulary, merges }: ModelTables): (bytes: Uint8Array) => number {
  const ids = idsOf(vocabulary, () => true);
  const ranks = new Map<string, number>();
  for (const pair of merges.entries()) ranks.set(pair.join(" "), ranks.size);
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
