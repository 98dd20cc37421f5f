/**
 * The `tokenizer.json` of a folder that has a SentencePiece `tokenizer.model` alone: the same vocabulary, the merges that
 * the scores imply (a piece is merged from any two pieces that spell it, better pieces first), and the added tokens that
 * the folder's other files name. What the tokenizer library would do otherwise than SentencePiece is refused by name.
 */
import { inputError, Limitation } from "../errors.ts";
import { type NamedTokens, resolveAddedTokens } from "./added-tokens.ts";
import { type AddedToken, addedTokenEntry } from "./definition.ts";
import { LLAMA, llamaSteps, type PrefixSettings } from "./prefix-space.ts";
import {
  PIECE_CONTROL,
  PIECE_UNKNOWN,
  PIECE_UNUSED,
  PIECE_USER_DEFINED,
  type Piece,
  type SentencePieceModel,
} from "./sentencepiece-model.ts";

export interface DerivedFrom {
  readonly model: SentencePieceModel;
  readonly named: NamedTokens;
  readonly prefix: PrefixSettings;
  /** Tokens that encoding a text alone puts before and behind it, as the configuration has it. */
  readonly frame: { readonly bos: boolean; readonly eos: boolean };
}

/** Looked at while the merges are made, all pieces together; the models in use need some ten million. */
const MOST_LETTERS = 1e9;

/** `path` is that of `tokenizer.model`, for messages. */
export function deriveTokenizerFile({ model, named, prefix, frame }: DerivedFrom, path: string): object {
  const unknown = checkModel(model, path);
  const names = namesOf(model.pieces, named);
  const vocabulary = new Map<string, number>();
  for (const [id, name] of names.entries()) {
    if (vocabulary.has(name)) throw inputError(path, `the piece ${JSON.stringify(name)} has two ids`);
    vocabulary.set(name, id);
  }
  const isLlama = prefix.tokenizerClass === LLAMA;
  const isBuiltAnew = isLlama && typeof prefix.addPrefixSpace === "boolean";
  const addedTokens = addedTokensOf(model.pieces, vocabulary, named, isBuiltAnew);
  const dummyPrefix = isLlama ? (prefix.addPrefixSpace ?? model.addDummyPrefix) : model.addDummyPrefix;
  const strip = dummyPrefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : [];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens.map(addedTokenEntry),
    ...llamaSteps(dummyPrefix, !isLlama || prefix.legacy),
    post_processor: framing(named, vocabulary, frame),
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...strip,
      ],
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: names[unknown]!,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary),
      merges: mergesOf(model.pieces, path),
    },
  };
}

/** Refuses what the tokenizer library would do otherwise; gives the id of the unknown piece. */
function checkModel(model: SentencePieceModel, path: string): number {
  const unsupported = (what: string): Error =>
    new Limitation(
      path,
      `${what} is not supported: only byte-pair encoding with byte fallback keeps every byte of a text`,
    );
  if (model.algorithm !== "bpe") throw unsupported(`a SentencePiece ${model.algorithm} model`);
  if (!model.byteFallback) throw unsupported("a SentencePiece model without byte fallback");
  if (model.spaceBehind) throw unsupported("a SentencePiece model that puts spaces behind words");
  if (model.rewrites) throw unsupported(`a SentencePiece model with the normaliser ${model.normaliser}`);
  if (model.removeExtraSpaces) throw unsupported("a SentencePiece model that removes extra spaces");
  if (!model.escapeSpaces) throw unsupported("a SentencePiece model that leaves spaces as they are");
  const unknown = model.pieces.findIndex(({ type }) => type === PIECE_UNKNOWN);
  if (unknown < 0) throw inputError(path, "not a SentencePiece model: it has no unknown piece");
  return unknown;
}

/**
 * Pieces by id. A configuration may give a name to one that was kept free (InternLM2's `[UNUSED_TOKEN_145]` is
 * `<|im_end|>`), unless another piece has that name.
 */
function namesOf(pieces: readonly Piece[], { decoder, legacy }: NamedTokens): string[] {
  const renamed = new Map([...legacy, ...(decoder ?? [])].map(({ id, content }) => [id, content]));
  const free = (id: number): boolean => {
    const type = pieces[id]?.type;
    return renamed.has(id) && (type === PIECE_USER_DEFINED || type === PIECE_CONTROL || type === PIECE_UNUSED);
  };
  const kept = new Set(pieces.flatMap(({ text }, id) => (free(id) ? [] : [text])));
  return pieces.map(({ text }, id) => {
    const name = free(id) ? renamed.get(id)! : text;
    return kept.has(name) ? text : name;
  });
}

/**
 * Those that the files name, and the model's own. Where no file lists any, and where transformers builds the tokenizer
 * from the model, its user-defined pieces are cut out of texts too, as SentencePiece does; otherwise they are reached by
 * merges, as in the files that are published for such models.
 */
function addedTokensOf(
  pieces: readonly Piece[],
  vocabulary: ReadonlyMap<string, number>,
  named: NamedTokens,
  isBuiltAnew: boolean,
): AddedToken[] {
  const { addedTokens } = resolveAddedTokens([], named, (content) => vocabulary.get(content));
  const known = new Set(addedTokens.map(({ content }) => content));
  const isListed = named.decoder !== null || named.legacy.length > 0;
  const framing = new Set([named.roles.get("bos_token"), named.roles.get("eos_token")]);
  const own = ownTokensOf(pieces).filter(({ id, content }) => {
    if (known.has(content) || vocabulary.get(content) !== id) return false;
    return isBuiltAnew || !isListed || pieces[id]!.type === PIECE_UNKNOWN || framing.has(content);
  });
  return [...addedTokens, ...own].sort((a, b) => a.id - b.id);
}

/** The pieces that SentencePiece does not merge: the unknown one, control pieces, and those that a user defined. */
export function ownTokensOf(pieces: readonly Piece[]): AddedToken[] {
  return pieces.flatMap(({ text, type }, id) => {
    const special = type === PIECE_UNKNOWN || type === PIECE_CONTROL;
    if (!special && type !== PIECE_USER_DEFINED) return [];
    return [{ id, content: text, singleWord: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}

/**
 * All ways of spelling a piece with two others: those of better pieces first, among them in the order of their ids.
 * Pieces of all kinds count, as in the files that are published for such models. No text has a piece with a space, for
 * which a line of the list has no form.
 */
function mergesOf(pieces: readonly Piece[], path: string): string[] {
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  const merges: { readonly score: number; readonly id: number; readonly left: number; readonly right: number }[] = [];
  let letters = 0;
  for (const [id, { text, score, type }] of pieces.entries()) {
    if (text.includes(" ")) continue;
    letters += text.length ** 2;
    if (letters > MOST_LETTERS) throw inputError(path, "not a SentencePiece model: its pieces are too long");
    for (let cut = 1; cut < text.length; cut++) {
      const left = ids.get(text.slice(0, cut));
      const right = left === undefined ? undefined : ids.get(text.slice(cut));
      if (left === undefined || right === undefined) continue;
      if (type === PIECE_UNUSED || [left, right].some((part) => pieces[part]!.type === PIECE_UNUSED)) {
        throw new Limitation(path, `the unused piece ${JSON.stringify(text)} in merges is not supported`);
      }
      merges.push({ score, id, left, right });
    }
  }
  merges.sort((a, b) => b.score - a.score || a.id - b.id || a.left - b.left || a.right - b.right);
  return merges.map(({ left, right }) => `${pieces[left]!.text} ${pieces[right]!.text}`);
}

/** What `encode` of the library adds on its own; this project never asks for it, other programs do. */
function framing(
  { roles }: NamedTokens,
  vocabulary: ReadonlyMap<string, number>,
  frame: DerivedFrom["frame"],
): object | null {
  const special = (role: string, wanted: boolean): { readonly token: string; readonly id: number }[] => {
    const token = wanted ? roles.get(role) : undefined;
    const id = token === undefined ? undefined : vocabulary.get(token);
    return token === undefined || id === undefined ? [] : [{ token, id }];
  };
  const bos = special("bos_token", frame.bos);
  const eos = special("eos_token", frame.eos);
  if (bos.length + eos.length === 0) return null;
  const sequence = (name: string, type: number): object[] => [
    ...bos.map(({ token }) => ({ SpecialToken: { id: token, type_id: type } })),
    { Sequence: { id: name, type_id: type } },
    ...eos.map(({ token }) => ({ SpecialToken: { id: token, type_id: type } })),
  ];
  const tokens = new Map([...bos, ...eos].map(({ token, id }) => [token, { id: token, ids: [id], tokens: [token] }]));
  return {
    type: "TemplateProcessing",
    single: sequence("A", 0),
    pair: [...sequence("A", 0), ...sequence("B", 1)],
    special_tokens: Object.fromEntries(tokens),
  };
}
