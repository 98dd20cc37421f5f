/**
 * A tokenizer with other tokens. An ordinary token of another model stays one: its piece goes into the vocabulary and
 * the merges that make it behind those that are there, so that texts are first cut as before and only then further put
 * together. As an added token it would be cut out of every text before anything else. Readers give added tokens that
 * the vocabulary lacks the ids behind it, so where ordinary ones follow, all added tokens are listed in it too.
 */
import {
  isJsonObject,
  type JsonNumber,
  type JsonObject,
  type JsonValue,
  jsonNumber,
  plainJson,
} from "../../formats/json-document.ts";
import { canonicalJson } from "../../formats/json-text.ts";
import { type AddedToken, addedTokens, idOf, type TokenizerFile } from "./tokenizer-file.ts";

/** A token that texts are made of. */
export interface OrdinaryToken {
  readonly content: string;
  readonly id: number;
  /** Its logarithmic probability, where the other model's tokenizer has them. */
  readonly score: JsonNumber | undefined;
}

export type Pair = readonly [string, string];

export interface TokenChanges {
  /** Tokens with ids from here on are taken out. */
  readonly end: number;
  readonly added: readonly AddedToken[];
  readonly ordinary: readonly OrdinaryToken[];
  /** Pieces to put together, in their order. */
  readonly merges: readonly Pair[];
}

export function withTokens(document: JsonObject, { end, added, ordinary, merges }: TokenChanges): JsonObject {
  const model = new Map(document.get("model") as JsonObject);
  const tokens = [...addedTokens(document).filter(({ id }) => id < end), ...added];
  const vocab = model.get("vocab") as JsonValue[] | JsonObject;
  const listed = ordinary.length === 0 ? [] : [...tokens, ...ordinary];
  if (Array.isArray(vocab)) model.set("vocab", withPieces(vocab.slice(0, end), listed));
  else {
    const kept = new Map([...vocab].filter(([, id]) => idOf(id) < end));
    for (const { content, id } of listed) kept.set(content, jsonNumber(id));
    model.set("vocab", kept);
    const own = model.get("merges");
    if (Array.isArray(own)) model.set("merges", withMerges(own, end, kept, merges));
  }
  const entries = tokens.map(({ entry }) => entry);
  return new Map(document).set("added_tokens", entries).set("model", model);
}

/** Below any piece's score: taken where nothing else fits. */
const BELOW_LEAST = 10;

/** Of a list of pairs, in which a piece's place is its id. */
function withPieces(kept: JsonValue[], listed: readonly (AddedToken | OrdinaryToken)[]): JsonValue[] {
  const scores = kept.flatMap((entry) => (Array.isArray(entry) ? [idOf(entry[1] ?? null)] : []));
  const least = scores.reduce((low, score) => Math.min(low, score), 0) - BELOW_LEAST;
  const byId = new Map(listed.map((token) => [token.id, token]));
  const size = listed.reduce((most, { id }) => Math.max(most, id + 1), kept.length);
  for (let id = kept.length; id < size; id++) {
    const token = byId.get(id);
    const score = token !== undefined && "score" in token ? token.score : undefined;
    // Readers take places for ids, so an id that nobody has needs a piece.
    kept.push([token?.content ?? `<unused${id}>`, score ?? { literal: least.toFixed(1) }]);
  }
  return kept;
}

function withMerges(own: readonly JsonValue[], end: number, kept: JsonObject, more: readonly Pair[]): JsonValue[] {
  const left = Number.isFinite(end) ? own.filter((merge) => kept.has(pairOf(merge).join(""))) : [...own];
  if (more.length === 0) return left;
  // Older files write a pair as one text, which only works where no piece has a space.
  const areTexts = left.every((merge) => typeof merge === "string");
  const asTexts = areTexts && more.every((pair) => !pair.join("").includes(" "));
  const all = asTexts || !areTexts ? left : left.map((merge): JsonValue => [...pairOf(merge)]);
  return [...all, ...more.map((pair): JsonValue => (asTexts ? pair.join(" ") : [...pair]))];
}

/** The two pieces of a merge, which files write as a pair or as one text. */
function pairOf(merge: JsonValue): Pair {
  if (Array.isArray(merge)) return [String(merge[0]), String(merge[1])];
  const text = String(merge);
  const space = text.indexOf(" ");
  return [text.slice(0, space), text.slice(space + 1)];
}

export function mergesOf({ document }: TokenizerFile): readonly Pair[] {
  const model = document.get("model");
  const merges = isJsonObject(model) ? model.get("merges") : undefined;
  return Array.isArray(merges) ? merges.map(pairOf) : [];
}

/** Scores of pieces, by their contents; empty for tokenizers that have none. */
export function scoresOf({ document }: TokenizerFile): ReadonlyMap<string, JsonNumber> {
  const model = document.get("model");
  const vocab = isJsonObject(model) ? model.get("vocab") : undefined;
  const scores = new Map<string, JsonNumber>();
  if (!Array.isArray(vocab)) return scores;
  for (const entry of vocab) {
    const [content, score] = Array.isArray(entry) ? entry : [];
    if (typeof content === "string" && score !== undefined && Number.isFinite(idOf(score))) {
      scores.set(content, score as JsonNumber);
    }
  }
  return scores;
}

/** Whether two tokenizers cut texts into pieces of one kind, so that pieces of one can come out of the other. */
export function spellAlike(a: TokenizerFile, b: TokenizerFile): boolean {
  return kindOf(a) === kindOf(b);
}

function kindOf({ document }: TokenizerFile): string {
  const model = document.get("model");
  const keys = ["type", "continuing_subword_prefix", "end_of_word_suffix"];
  const settings = keys.map((key) => (isJsonObject(model) ? (model.get(key) ?? null) : null));
  const steps = ["normalizer", "pre_tokenizer"].map((key) => document.get(key) ?? null);
  return canonicalJson(plainJson([...settings, ...steps]));
}
