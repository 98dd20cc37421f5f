/**
 * What a rule is: it pulls the answer proper out of a text, a reference's as well as a model's, in a spelling of its
 * own, so that equal answers are equal texts. A rule never guesses: a text in which it finds nothing is not parsed,
 * counts as wrong, and is shown. Adding one is a file here and a line in `rules.ts`.
 */
export interface Rule {
  readonly name: string;
  /** One line: what it takes. */
  readonly summary: string;
  /** The answer proper, in its one spelling, or null. In time linear in the text. */
  extract(text: string): string | null;
}
