/**
 * Which conversations are kept for evaluation. The choice is by the id alone: the first 52 bits of the id's SHA-256, as a
 * fraction of 2^52, lie below `held_out`. So it needs no seed, a conversation stays on its side when the data
 * grows, and two equal conversations are never on different sides.
 */
import { inputError } from "../errors.ts";
import type { Conversation } from "./conversation.ts";

/** 13 hex digits: as many bits as a double holds exactly. */
const DIGITS = 13;

/** Order is kept on both sides. `fraction` is at least 0 and less than 1. */
export function splitHeldOut(
  conversations: readonly Conversation[],
  fraction: number,
): { train: Conversation[]; heldOut: Conversation[] } {
  if (!(fraction >= 0 && fraction < 1)) {
    throw inputError("held_out", `expected a fraction of at least 0 and less than 1, found ${fraction}`);
  }
  const train: Conversation[] = [];
  const heldOut: Conversation[] = [];
  for (const conversation of conversations) {
    (placeOf(conversation.id) < fraction ? heldOut : train).push(conversation);
  }
  return { train, heldOut };
}

/** A conversation's place in [0, 1), uniform over conversations. */
function placeOf(id: string): number {
  return Number.parseInt(id.slice(0, DIGITS), 16) / 16 ** DIGITS;
}
