/**
 * The whole map of one alignment under one strategy: a source for every id of the source's head, then one for every
 * text of the lead swaps. Strategies place what has bytes; end of turn goes to end of turn by its role; other special
 * tokens and ids without a token have no place.
 */
import { createSparseMapBuilder, hasPlace, type SparseMap } from "./sparse-map.ts";
import type { StrategyInput, TokenText, VocabularyStrategy } from "./strategies/strategy.ts";
import type { Survey } from "./survey.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Ids whose mass is wanted: all others of the map stay without a place, which saves their look-ups. */
export type Wanted = (id: number) => boolean;

/** Sources 0 .. source.size-1 are the source's ids, source.size + i is text i. */
export async function buildVocabularyMap(
  strategy: VocabularyStrategy,
  input: StrategyInput,
  source: Vocabulary,
  endOfTurn: Pick<Survey, "pivotEndOfTurn" | "sourceEndOfTurn">,
  texts: readonly TokenText[],
  wanted: Wanted,
): Promise<SparseMap> {
  const tokens: TokenText[] = [];
  const rowOf = new Int32Array(source.size).fill(-1);
  for (let id = 0; id < source.size; id++) {
    if (source.byteLength[id]! < 0 || !wanted(id)) continue;
    rowOf[id] = tokens.length;
    tokens.push({ bytes: source.bytes(id), source: id });
  }
  const places = await strategy.place([...tokens, ...texts], input);
  const builder = createSparseMapBuilder();
  const copy = (row: number): void => {
    for (let e = places.start[row]!; e < places.start[row + 1]!; e++) builder.place(places.pivot[e]!, places.share[e]!);
  };
  const ends = new Set(endOfTurn.sourceEndOfTurn);
  for (let id = 0; id < source.size; id++) {
    if (ends.has(id)) {
      if (endOfTurn.pivotEndOfTurn >= 0) builder.place(endOfTurn.pivotEndOfTurn, 1);
    } else if (rowOf[id]! >= 0) {
      copy(rowOf[id]!);
    }
    builder.next();
  }
  for (let text = 0; text < texts.length; text++) {
    copy(tokens.length + text);
    builder.next();
  }
  return builder.build();
}

/** What a strategy does with the mass of a survey. */
export interface PlacedMass {
  /** Source tokens that occur in shared rows, and how many of them have a place. */
  readonly tokens: number;
  readonly placedTokens: number;
  /** Summed mass with a place. */
  readonly mass: number;
}

export function placedMass(map: SparseMap, survey: Survey): PlacedMass {
  const { tokenMass, textMass } = survey;
  let tokens = 0;
  let placedTokens = 0;
  let mass = 0;
  for (let id = 0; id < tokenMass.length; id++) {
    if (tokenMass[id] === 0) continue;
    tokens++;
    if (!hasPlace(map, id)) continue;
    placedTokens++;
    mass += tokenMass[id]!;
  }
  for (let text = 0; text < textMass.length; text++) {
    if (hasPlace(map, tokenMass.length + text)) mass += textMass[text]!;
  }
  return { tokens, placedTokens, mass };
}
