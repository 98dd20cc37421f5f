/**
 * What a skill is: a set of questions about the world, each with the exact distribution of its answers. A question
 * may lead to a second one (a two-turn conversation) whose distribution depends on the first answer.
 */
import type { Random } from "../../random.ts";
import type { Answers } from "../answers.ts";

export interface Question {
  readonly user: string;
  /** P(assistant text | everything before it). */
  readonly answers: Answers;
  /** The question that follows this answer; absent where the conversation ends here. */
  readonly next?: (answer: string) => Question;
}

export interface Skill {
  readonly name: string;
  /** One line for tables and docs. */
  readonly summary: string;
  /** Whether answers are drawn; else the question decides them and the floor is zero. */
  readonly random: boolean;
  /** Draws a question. Its wording and subject are free of charge: only answers count. */
  ask(random: Random): Question;
}

/** One of several, all equally likely. */
export function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[random.integer(choices.length)]!;
}

/** Builds each table once: a question is asked thousands of times. */
export function remember<T>(build: (key: string) => T): (key: string) => T {
  const known = new Map<string, T>();
  return (key) => {
    let value = known.get(key);
    if (value === undefined) {
      value = build(key);
      known.set(key, value);
    }
    return value;
  };
}
