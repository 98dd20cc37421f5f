/**
 * What the pivot cannot write after a space of its own. A tokenizer that has ` M` writes a lone ` ` only before words that
 * have no token with their space, so that behind it the source's ` Mostly` is not to come: it would have begun otherwise.
 * An id u can follow a space t where the text of both is written t, ... again; of byte-pair encodings a text is what the
 * tokenizer writes where each two neighbours are (Vieira et al., "Language Models over Canonical Byte-Pair Encodings",
 * 2025). What is left of a row is divided by its sum.
 */
import { MINUS_INFINITY, massTable } from "../../distributions/shard-columns.ts";
import { halfToNumber } from "../../formats/float.ts";
import { negativeHalf } from "../negative-half.ts";
import type { Part } from "../paired-conversations.ts";
import type { AlignedShard } from "../shard.ts";
import type { StrategyInput } from "../strategies/strategy.ts";

/** By the pivot's spaces: [vocabulary] 1 for ids that are never written behind it. */
export type NeverFollowing = ReadonlyMap<number, Uint8Array>;

/** Texts handed to the tokenizer at once: each time it is made anew of what they need. */
const BATCH = 16_384;

/**
 * False where the space is written by itself for certain: nothing that begins with it and goes on as the token does is a
 * token. Most of what comes behind a line feed is like that.
 */
function mayJoin({ bytes, find }: StrategyInput["pivot"], space: number, id: number): boolean {
  const text = Buffer.concat([bytes(space), bytes(id)]);
  for (let length = 2; length <= text.length; length++) if (find(text.subarray(0, length)) >= 0) return true;
  return false;
}

/**
 * Of these spaces, for the ids that masses can go to; others count as possible. Of several spaces in one token nothing is
 * asked: what comes behind an indentation differs little, and each has some 10,000 texts to ask about.
 */
export async function neverFollowing(
  spaces: readonly number[],
  ids: ReadonlySet<number>,
  { pivot, firstPivotToken }: Pick<StrategyInput, "pivot" | "firstPivotToken">,
): Promise<NeverFollowing> {
  const spelled = [...ids].filter((id) => pivot.special[id] !== 1 && pivot.byteLength[id]! > 0);
  const single = spaces.filter((space) => pivot.byteLength[space] === 1);
  const found = new Map(single.map((space) => [space, new Uint8Array(pivot.size)]));
  const open = single.flatMap((space) =>
    spelled.filter((id) => mayJoin(pivot, space, id)).map((id): [space: number, id: number] => [space, id]),
  );
  for (let from = 0; from < open.length; from += BATCH) {
    const batch = open.slice(from, from + BATCH);
    const first = await Promise.all(
      batch.map(([space, id]) => firstPivotToken(Buffer.concat([pivot.bytes(space), pivot.bytes(id)]))),
    );
    for (const [n, [space, id]] of batch.entries()) if (first[n] !== space) found.get(space)![id] = 1;
  }
  return found;
}

/** The space that the pivot has written before a row of the same response, or -1. */
export function spaceBefore({ side: { shard, spans }, from }: Part, row: number, isSpace: Uint8Array): number {
  if (row === from || spans.turn[row - 1] !== spans.turn[row]) return -1;
  const before: number = shard.token[row - 1]!;
  return isSpace[before] === 1 ? before : -1;
}

/** Of a row of which less can be written at all, nothing is known. */
const LEAST_POSSIBLE = 0.02;

/**
 * Takes what is never written out of a transferred row and divides the rest by what all but that has. Returns the mass
 * taken out. A label that should not be there tells that more than the space before it decides: the row stays.
 */
export function leaveOut(
  never: Uint8Array,
  label: number,
  { topId, topLogp }: Pick<AlignedShard, "topId" | "topLogp">,
  row: number,
  width: number,
): number {
  if (never[label] === 1) return 0;
  const masses = massTable();
  const [begin, end] = [row * width, (row + 1) * width];
  let taken = 0;
  let whole = 0;
  for (let k = begin; k < end && topLogp[k] !== MINUS_INFINITY; k++) {
    const mass = masses[topLogp[k]! & 0x7fff]!;
    whole += mass;
    if (never[topId[k]!] === 1) taken += mass;
  }
  if (taken === 0) return 0;
  const isKnown = 1 - taken >= LEAST_POSSIBLE && whole - taken > 0;
  const scale = Math.log(1 - taken);
  let at = begin;
  for (let k = begin; k < end && topLogp[k] !== MINUS_INFINITY; k++) {
    if (!isKnown || never[topId[k]!] === 1) continue;
    topId[at] = topId[k]!;
    topLogp[at++] = negativeHalf(halfToNumber(topLogp[k]!) - scale);
  }
  topId.fill(0, at, end);
  topLogp.fill(MINUS_INFINITY, at, end);
  return isKnown ? taken : whole;
}
