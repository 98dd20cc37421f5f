/** The whole answer, but for white space at its ends and how much of it stands between words (Unicode NFC). */
import { type Rule, ruleFor } from "./rule.ts";

export const text: Rule = ruleFor("text", "the whole answer, whatever its white space", (answer) => {
  const words = normalised(answer)
    .split(/\s/u)
    .filter((word) => word !== "");
  return words.length === 0 ? null : words.join(" ");
});

/**
 * Marks one after the other of which the platform's normaliser takes time with the square of their number: a megabyte
 * takes many minutes. No writing has nearly as many; such a run stays as it is.
 */
const LONG_RUN = /(\p{M}{65,})/u;

function normalised(answer: string): string {
  const parts = answer.split(LONG_RUN);
  return parts.map((part, index) => (index % 2 === 0 ? part.normalize("NFC") : part)).join("");
}
