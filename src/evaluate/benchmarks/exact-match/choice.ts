/**
 * Multiple choice, a letter from A to J, in the ways in which it is given: after "answer" ("The answer is (B)",
 * "**Answer:** B"; the last one, for a model may change its mind), alone or at the beginning ("B", "(b)", "B. Paris"),
 * or else as the last letter in brackets. A letter anywhere else is a word or a name, not a choice.
 */
import type { Rule } from "./rule.ts";

const AFTER_ANSWER =
  /\b(?:[Aa]nswer|ANSWER)(?: is| would be)?[ \t]{0,4}:?[ \t]{0,4}(?:option |choice )?[*_`"'([]{0,4}[ \t]{0,4}([A-J])(?![\p{L}\p{N}'])/gu;
const ALONE = /^[\s*_`"'([]{0,8}([A-Ja-j])[\s*_`"')\].:]{0,8}$/u;
const AT_THE_BEGINNING = /^\s{0,8}(?:[*_`"']{0,4}[([]([A-Ja-j])[)\]]|[*_`"']{0,4}([A-J])[).:])/u;
const IN_BRACKETS = /[([]([A-J])[)\]]/gu;

export const choice: Rule = {
  name: "choice",
  summary: "a letter from A to J: Answer: B, (B), B.",
  extract: (text) => {
    const stated = [...text.matchAll(AFTER_ANSWER)].at(-1);
    const found =
      stated ?? ALONE.exec(text.trim()) ?? AT_THE_BEGINNING.exec(text) ?? [...text.matchAll(IN_BRACKETS)].at(-1);
    return (found?.[1] ?? found?.[2])?.toUpperCase() ?? null;
  },
};
