/**
 * MT-Bench's questions: two turns each, in categories that decide the temperature of the answer and whether the judge
 * gets a reference answer (Zheng et al., "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", 2023; FastChat,
 * fastchat/llm_judge/common.py: `temperature_config`, `NEED_REF_CATS`).
 */

import { z } from "zod";
import { inputError } from "../../../errors.ts";
import { type Table, tableOf } from "../../../table.ts";
import { readRecords } from "./json-lines.ts";

/** Both turns of a question are one unit of every statistic: they are the same question, asked on. */
export type Turn = 1 | 2;
export const TURNS: readonly Turn[] = [1, 2];

/** What a score must be known to belong to. */
export interface GradedQuestion {
  readonly id: number;
  readonly category: string;
}

export interface Question extends GradedQuestion {
  readonly turns: readonly [string, string];
  /** Of its answers; 0 is greedy. */
  readonly temperature: number;
}

const TEMPERATURES: Table<number> = tableOf({
  writing: 0.7,
  roleplay: 0.7,
  extraction: 0,
  math: 0,
  coding: 0,
  reasoning: 0,
  stem: 0.1,
  humanities: 0.1,
  "arena-hard-200": 0,
});
const OTHER_TEMPERATURE = 0.7;

const WITH_REFERENCE: readonly string[] = ["math", "reasoning", "coding", "arena-hard-200"];

const QUESTIONS = "MT-Bench's questions (FastChat's fastchat/llm_judge/data/mt_bench/question.jsonl)";

const questionRecord = z.object({
  question_id: z.number().int(),
  category: z.string().min(1),
  turns: z.array(z.string()).length(2, "expected two turns"),
  required_temperature: z.number().min(0).optional(),
});

/** True where the judge sees a reference answer, with the prompts `single-math-v1…`. */
export function needsReference({ category }: GradedQuestion): boolean {
  return WITH_REFERENCE.includes(category);
}

/** The questions in the file's order. */
export async function readQuestions(path: string | undefined): Promise<Question[]> {
  if (path === undefined) {
    throw inputError(
      "mt-bench",
      `needs questions, which are not part of this program; give --questions FILE: ${QUESTIONS}`,
    );
  }
  const seen = new Map<number, string>();
  return (await readRecords(path, questionRecord, QUESTIONS)).map(({ where, record }) => {
    const { question_id: id, category, turns, required_temperature: required } = record;
    const before = seen.get(id);
    if (before !== undefined) throw inputError(where, `question ${id} stands at ${before} already; expected each once`);
    seen.set(id, where);
    return {
      id,
      category,
      turns: [turns[0]!, turns[1]!],
      temperature: required ?? TEMPERATURES[category] ?? OTHER_TEMPERATURE,
    };
  });
}

/** Ids and categories of the published questions, ten of each, from 81 on. */
const PUBLISHED = ["writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities"] as const;
const PUBLISHED_FIRST = 81;
const PUBLISHED_EACH = 10;

/** The 80 published questions without their texts: finished judgments name only ids, and need no more to be scored. */
export function publishedQuestions(): GradedQuestion[] {
  return PUBLISHED.flatMap((category, place) =>
    Array.from({ length: PUBLISHED_EACH }, (_, index) => ({
      id: PUBLISHED_FIRST + place * PUBLISHED_EACH + index,
      category,
    })),
  );
}

/** The question of this id, else an input error at `where`. */
export function questionOf<Q extends GradedQuestion>(questions: ReadonlyMap<number, Q>, id: number, where: string): Q {
  const question = questions.get(id);
  if (question !== undefined) return question;
  const [first, last] = [Math.min(...questions.keys()), Math.max(...questions.keys())];
  throw inputError(
    where,
    `question_id ${id} is not among the ${questions.size} questions (${first} to ${last}); for another set of questions give theirs with --questions`,
  );
}

export function byId<Q extends GradedQuestion>(questions: readonly Q[]): Map<number, Q> {
  return new Map(questions.map((question) => [question.id, question]));
}

/** `101, 102, 103 and 4 more`. */
export function listed(ids: readonly number[]): string {
  const shown = ids.slice(0, 3).join(", ");
  return ids.length > 3 ? `${shown} and ${ids.length - 3} more` : shown;
}
