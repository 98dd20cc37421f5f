/**
 * Where a vocabulary map sends the mass of a corpus: to tokens with the same bytes, to others, to the end of turn. The
 * survey's sums are exact, so that the figures do not depend on how the work was shared. What `label_mass` and `divide`
 * do row by row comes on top and is not in them.
 */

import type { TokenTable } from "../../tokenizer/tokenizer.ts";
import { hasPlace, type SparseMap } from "../sparse-map.ts";
import type { Survey } from "../survey.ts";
import type { Vocabulary } from "../vocabulary.ts";
import { bytesName, tokenName } from "./examples.ts";

/** A source token whose mass goes elsewhere than to its own bytes; masses are means over the shared rows. */
export interface MappedPair {
  /** Null where the token's lead was exchanged for the pivot's: what it became may be no token of the source. */
  readonly token: number | null;
  readonly text: string;
  readonly mass: number;
  /** What of it goes elsewhere, or has no place. */
  readonly mass_moved: number;
  /** The pivot tokens that take it over, the largest mass first, and how many there are beyond those. */
  readonly places: readonly { readonly token: number; readonly text: string; readonly mass: number }[];
  readonly further_places: number;
}

/** Means over the shared rows. */
export interface Destinations {
  /** Mass that goes to pivot tokens with the same bytes, with other bytes, and from end of turn to end of turn. */
  readonly mass_to_equal_bytes: number;
  readonly mass_to_other_bytes: number;
  readonly mass_to_end_of_turn: number;
  /** The pairs with the most mass that goes to other bytes or has no place. */
  readonly mapped_pairs: readonly MappedPair[];
}

const PAIRS = 30;
const PLACES = 5;

interface Side {
  readonly tokens: TokenTable;
  readonly vocabulary: Vocabulary;
}

export function destinations(
  map: SparseMap,
  survey: Pick<Survey, "tokenMass" | "texts" | "textMass" | "sharedRows">,
  pivot: Side,
  source: Side,
): Destinations {
  const rows = Math.max(1, survey.sharedRows);
  const { size, special } = source.vocabulary;
  const massOf = (n: number): number => (n < size ? survey.tokenMass[n]! : survey.textMass[n - size]!);
  const bytesOf = (n: number): Uint8Array => (n < size ? source.vocabulary.bytes(n) : survey.texts[n - size]!.bytes);
  let [equal, other, endOfTurn] = [0, 0, 0];
  const moved: { source: number; mass: number }[] = [];
  for (let n = 0; n < size + survey.texts.length; n++) {
    const mass = massOf(n);
    if (mass === 0) continue;
    const isSpecial = n < size && special[n] === 1;
    const bytes = bytesOf(n);
    let away = hasPlace(map, n) ? 0 : mass;
    for (let e = map.start[n]!; e < map.start[n + 1]!; e++) {
      const part = mass * map.share[e]!;
      if (isSpecial) endOfTurn += part;
      else if (Buffer.compare(bytes, pivot.vocabulary.bytes(map.pivot[e]!)) === 0) equal += part;
      else {
        other += part;
        away += part;
      }
    }
    if (away > 0) moved.push({ source: n, mass: away });
  }
  moved.sort((a, b) => b.mass - a.mass || a.source - b.source);

  const mappedPair = (n: number, away: number): MappedPair => {
    const mass = massOf(n) / rows;
    const places = Array.from({ length: map.start[n + 1]! - map.start[n]! }, (_, i) => map.start[n]! + i)
      .map((e) => ({ token: map.pivot[e]!, mass: mass * map.share[e]! }))
      .sort((a, b) => b.mass - a.mass || a.token - b.token);
    return {
      token: n < size ? n : null,
      text: n < size ? tokenName(source.tokens, n) : bytesName(bytesOf(n)),
      mass,
      mass_moved: away / rows,
      places: places
        .slice(0, PLACES)
        .map((place) => ({ token: place.token, text: tokenName(pivot.tokens, place.token), mass: place.mass })),
      further_places: Math.max(0, places.length - PLACES),
    };
  };
  return {
    mass_to_equal_bytes: equal / rows,
    mass_to_other_bytes: other / rows,
    mass_to_end_of_turn: endOfTurn / rows,
    mapped_pairs: moved.slice(0, PAIRS).map((each) => mappedPair(each.source, each.mass)),
  };
}
