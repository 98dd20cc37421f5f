/**
 * Opens the tokenizer of a folder: the Hugging Face library for the ids, our own walk through the text for byte
 * spans (the library's offsets are characters, which say nothing about tokens that spell part of one).
 */
import { inputError, internalError } from "../errors.ts";
import { batched } from "./batched.ts";
import type { TokenizerDefinition } from "./definition.ts";
import { type FirstTokens, openFirstTokens } from "./first-token.ts";
import { type OpenLibrary, openLibrary } from "./library.ts";
import { joinedJson } from "./model-tables.ts";
import { nfc, normaliseStretches } from "./nfc-clusters.ts";
import { type AddedSpelling, SpanMismatch, type Walk, walkSpans } from "./spans.ts";
import { bytesOfPiece, tokenBytesOf } from "./token-bytes.ts";
import { createTokenTable, readTokenizerFile, type TokenizerFile, tablePartsOf } from "./token-table.ts";
import type { Encoding, Tokenizer } from "./tokenizer.ts";

/** An Encoding of the library holds strings and words besides the ids: at most this much text is encoded at once. */
const BATCH_CHARACTERS = 1 << 19;
const BATCH_TEXTS = 256;

/** Lone halves of surrogate pairs: the library would turn them into U+FFFD without a word. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Opens whichever tokenizer the folder has; refuses what byte spans cannot follow. */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const file = await readTokenizerFile(folder);
  return createTokenizer(await libraryOf(file, folder), file, folder);
}

async function libraryOf(file: TokenizerFile, folder: string): Promise<OpenLibrary> {
  const { path, definition, sha256 } = file;
  const { addedTokens } = definition;
  // The parsed file is let go of: where it is needed once more, it is read again.
  let first: TokenizerFile | undefined = file;
  const json = async (): Promise<string> => {
    const now = first ?? (await readTokenizerFile(folder));
    first = undefined;
    if (now.sha256 !== sha256) throw inputError(path, "was changed while it was in use; run the same command again");
    return joinedJson(now);
  };
  const library = await openLibrary({
    path,
    added: addedTokens.map(({ content }) => content),
    normalised: addedTokens.filter(({ normalized }) => normalized).map(({ content }) => content),
    json,
  });
  for (const [index, token] of addedTokens.entries()) {
    const id = library.opened.ids[index]!;
    if (id !== token.id) {
      const content = JSON.stringify(token.content);
      const place = id < 0 ? "the library does not know it" : `its place in the file makes it ${id}`;
      throw inputError(path, `the added token ${content} has the id ${token.id}, but ${place}`);
    }
  }
  return library;
}

function createTokenizer(library: OpenLibrary, file: TokenizerFile, folder: string): Tokenizer {
  const { path, definition, sha256, withoutId } = file;
  const tokens = tokenBytesOf(definition);
  const table = createTokenTable(tablePartsOf(definition, tokens, sha256));
  const added = addedSpellings(definition, library);
  const spaceMarks = definition.family === "sentencepiece";
  const walk: Walk = { tokens, added, dummyPrefix: definition.dummyPrefix, spaceMarks };
  let first: Promise<FirstTokens> | undefined;

  const spans = (text: string, ids: Int32Array): Encoding => {
    try {
      const changes = definition.nfc && nfc(text) !== text;
      return changes ? walkNormalised(text, ids, walk) : walkSpans(Buffer.from(text, "utf8"), ids, walk);
    } catch (error) {
      if (!(error instanceof SpanMismatch)) throw error;
      const id = ids[error.token];
      const token =
        id === undefined ? "the last token" : `token ${error.token} (${JSON.stringify(table.tokenText(id))})`;
      const { removing } = definition;
      const why = removing.length > 0 ? `, perhaps for the pre-tokenizer ${removing.join(" or ")}` : "";
      throw inputError(
        path,
        `${token} does not spell the text at byte ${error.byte}${why}; its byte spans are unknown`,
      );
    }
  };
  const encodeBatch = async (texts: readonly string[]): Promise<Encoding[]> => {
    for (const text of texts) {
      if (LONE_SURROGATE.test(text))
        throw inputError(path, "a text has half of a surrogate pair, which is no character");
      const strange = withoutId.find((content) => text.includes(content));
      if (strange !== undefined) {
        const content = JSON.stringify(strange);
        throw inputError(path, `a text has the special token ${content}, which is named but has no id here`);
      }
    }
    const encodings: Encoding[] = [];
    while (encodings.length < texts.length) {
      const batch = nextBatch(texts, encodings.length);
      for (const [index, ids] of (await library.encode(batch)).entries()) {
        encodings.push(spans(batch[index]!, ids));
      }
    }
    return encodings;
  };
  return {
    ...table,
    encode: async (text) => {
      const encoding = (await encodeBatch([text]))[0];
      if (encoding === undefined) throw internalError("the tokenizer library gave no encoding");
      return encoding;
    },
    encodeBatch,
    release: () => library.release(),
    firstTokenOf: batched(async (texts) => {
      first ??= openFirstTokens(folder);
      return (await first)(texts);
    }),
  };
}

/** A normalised added token is looked for as the normaliser leaves it: `</s>` of Llama 2 as `▁</s>`. */
function addedSpellings(definition: TokenizerDefinition, { opened }: OpenLibrary): Map<number, AddedSpelling> {
  const { addedTokens, vocabulary, family } = definition;
  const ids = new Set(addedTokens.map(({ id }) => id));
  const pieces = new Map<number, string>();
  for (const [piece, id] of vocabulary) if (ids.has(id)) pieces.set(id, piece);
  const spellings = new Map<number, AddedSpelling>();
  const normalised = opened.normalised.values();
  for (const token of addedTokens) {
    const text = token.normalized ? normalised.next().value!.replaceAll("▁", " ") : token.content;
    const piece = pieces.get(token.id);
    const own = piece === undefined ? null : bytesOfPiece(piece, family);
    spellings.set(token.id, { token, bytes: Buffer.from(text, "utf8"), piece: own });
  }
  return spellings;
}

function nextBatch(texts: readonly string[], first: number): string[] {
  const batch: string[] = [];
  let characters = 0;
  for (let i = first; i < texts.length && batch.length < BATCH_TEXTS; i++) {
    const text = texts[i]!;
    if (batch.length > 0 && characters + text.length > BATCH_CHARACTERS) break;
    characters += text.length;
    batch.push(text);
  }
  return batch;
}

/** NFC works on the stretches between added tokens: they are found first, in the order in which the ids name them. */
function walkNormalised(text: string, ids: Int32Array, walk: Walk): Encoding {
  const stretches: { text: string; verbatim: boolean }[] = [];
  let position = 0;
  for (const [index, id] of ids.entries()) {
    const token = walk.added.get(id)?.token;
    if (token === undefined || token.normalized) continue;
    const found = text.indexOf(token.content, position);
    if (found < 0) throw new SpanMismatch(index, Buffer.byteLength(text.slice(0, position), "utf8"));
    stretches.push({ text: text.slice(position, found), verbatim: false });
    stretches.push({ text: token.content, verbatim: true });
    position = found + token.content.length;
  }
  stretches.push({ text: text.slice(position), verbatim: false });
  const normalised = normaliseStretches(stretches);
  const encoding = walkSpans(normalised.bytes, ids, walk);
  return {
    ...encoding,
    byteStart: encoding.byteStart.map((offset) => normalised.origin[offset]!),
    byteEnd: encoding.byteEnd.map((offset) => normalised.origin[offset]!),
  };
}
