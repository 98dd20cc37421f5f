/**
 * Multiple choice, a letter from A to J, in the ways in which it is given: in the last \\boxed{}, after "answer" ("The
 * answer is (B)", "answer is (d)", "**Answer:** B"; the last one, for a model may change its mind), alone or at the
 * beginning ("B", "(b)", "B. Paris"), alone on a line (the last one), or else as the last letter in brackets. A letter
 * anywhere else is a word or a name, not a choice.
 */
import { lastBoxed } from "./boxed.ts";
import { type Rule, ruleFor } from "./rule.ts";

const AFTER_ANSWER =
  /\b(?:[Aa]nswer|ANSWER)(?: is| would be)?[ \t]{0,4}:?[ \t]{0,4}(?:option |choice )?[*_`"'([]{0,4}[ \t]{0,4}(?:([A-J])(?![\p{L}\p{N}'])|(?<=[([])([a-j])(?=[)\]]))/gu;
const ALONE = /^[\s*_`"'([]{0,8}([A-Ja-j])[\s*_`"')\].:]{0,8}$/u;
const ALONE_ON_A_LINE =
  /^[ \t]{0,8}(?:[*_`"']{0,4}([A-J])[*_`"'.:]{0,5}|[*_`"']{0,4}[([]([A-Ja-j])[)\]][*_`"'.:]{0,5})[ \t\r]{0,8}$/gmu;
const AT_THE_BEGINNING = /^\s{0,8}(?:[*_`"']{0,4}[([]([A-Ja-j])[)\]]|[*_`"']{0,4}([A-J])[).:])/u;
const IN_BRACKETS = /[([]([A-J])[)\]]/gu;

export const choice: Rule = ruleFor("choice", "a letter from A to J: Answer: B, (B), B., \\boxed{B}", (text) => {
  const boxed = lastBoxed(text);
  const found =
    (boxed === null ? null : ALONE.exec(boxed)) ??
    [...text.matchAll(AFTER_ANSWER)].at(-1) ??
    ALONE.exec(text.trim()) ??
    AT_THE_BEGINNING.exec(text) ??
    [...text.matchAll(ALONE_ON_A_LINE)].at(-1) ??
    [...text.matchAll(IN_BRACKETS)].at(-1);
  return (found?.[1] ?? found?.[2])?.toUpperCase() ?? null;
});
