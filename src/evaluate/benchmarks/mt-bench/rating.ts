/**
 * The rating in a judgment: the first `[[x]]`, else the first `[x]` (FastChat, `one_score_pattern` and its backup).
 * Where FastChat would take any number, such as the index of an array that the judge quotes, only 1 to 10 counts: the
 * judge was asked for that, and everything else is no rating. Nothing is guessed from other words, nor from a judge's
 * reasoning before its judgment.
 */
import { answerIn, type Reasoning } from "../../reasoning.ts";

/** A judgment without a rating, in FastChat's files. */
export const NO_RATING = -1;

const PATTERNS = [/\[\[([0-9]+(?:\.[0-9]*)?)\]\]/, /\[([0-9]+(?:\.[0-9]*)?)\]/];

/** 1 to 10, or null. */
export function parseRating(judgment: string, reasoning: Reasoning = "drop"): number | null {
  const said = answerIn(judgment, reasoning);
  for (const pattern of PATTERNS) {
    const found = pattern.exec(said);
    if (found === null) continue;
    const rating = Number(found[1]);
    return isRating(rating) ? rating : null;
  }
  return null;
}

export function isRating(score: number): boolean {
  return score >= 1 && score <= 10;
}
