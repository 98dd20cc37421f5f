/** The whole answer, but for white space at its ends and how much of it stands between words (Unicode NFC). */
import { type Rule, ruleFor } from "./rule.ts";

export const text: Rule = ruleFor("text", "the whole answer, whatever its white space", (answer) => {
  const words = answer
    .normalize("NFC")
    .split(/\s/u)
    .filter((word) => word !== "");
  return words.length === 0 ? null : words.join(" ");
});
