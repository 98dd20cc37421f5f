/**
 * What a rule is: it pulls the answer proper out of a text, a reference's as well as a model's, in a spelling of its
 * own, so that equal answers are equal texts. A rule never guesses: a text in which it finds nothing is not parsed,
 * counts as wrong, and is shown. Adding one is a file here and a line in `rules.ts`.
 */
import { afterReasoning, type Reasoning } from "../../reasoning.ts";

export interface Rule {
  readonly name: string;
  /** One line: what it takes. */
  readonly summary: string;
  /** The answer proper, in its one spelling, or null. Reads what follows the reasoning unless that is kept. */
  extract(text: string, reasoning?: Reasoning): string | null;
}

/** A rule that finds its answer in what is said after the reasoning, in time linear in the text. */
export function ruleFor(name: string, summary: string, find: (answer: string) => string | null): Rule {
  return {
    name,
    summary,
    extract: (text, reasoning = "drop") => {
      const answer = reasoning === "keep" ? text : afterReasoning(text);
      return answer === null ? null : find(answer);
    },
  };
}
