/**
 * What the world answers to a question: a finite table of texts with their probabilities. Every skill builds its
 * tables by enumeration, and texts that several draws can spell are one entry with their probabilities added, so
 * P(answer | question) and its entropy are exact, and drawing an answer is drawing from the very table that judges it.
 */
import type { Random } from "../random.ts";

/** Texts and their probabilities, which add up to one; in the order in which they were first spelt. */
export type Answers = ReadonlyMap<string, number>;

/** One way a draw can come out. */
export interface Outcome<T> {
  readonly value: T;
  readonly probability: number;
}

/** Adds up the probabilities of outcomes that spell the same text. */
export function answersOf(outcomes: Iterable<Outcome<string>>): Answers {
  const table = new Map<string, number>();
  for (const { value, probability } of outcomes) table.set(value, (table.get(value) ?? 0) + probability);
  return table;
}

/** The only possible answer. */
export function certain(text: string): Answers {
  return new Map([[text, 1]]);
}

/** Every phrasing of every outcome: `phrasings` have probabilities of their own and are drawn independently. */
export function phrased<T>(
  outcomes: readonly Outcome<T>[],
  phrasings: readonly Outcome<(value: T) => string>[],
): Answers {
  return answersOf(
    phrasings.flatMap((phrasing) =>
      outcomes.map((outcome) => ({
        value: phrasing.value(outcome.value),
        probability: phrasing.probability * outcome.probability,
      })),
    ),
  );
}

/** Draws a text from its table. */
export function drawAnswer(answers: Answers, random: Random): string {
  let left = random.next();
  let last = "";
  for (const [text, probability] of answers) {
    last = text;
    left -= probability;
    if (left < 0) return text;
  }
  return last;
}

/** Expected nats of an answer: what a model that knows the table exactly still pays on average. */
export function entropyNats(answers: Answers): number {
  let nats = 0;
  for (const probability of answers.values()) nats -= probability > 0 ? probability * Math.log(probability) : 0;
  return nats;
}
