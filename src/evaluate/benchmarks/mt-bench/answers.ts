/**
 * FastChat's answer files: `model_answer/<model>.jsonl`, and `reference_answer/<judge>.jsonl` of the same shape. Like
 * FastChat, only the first of several `choices` is read. What is written has no clock in it: `tstamp` is 0, and
 * `answer_id` is a hash of the answer instead of a random one, so that the same answers are the same bytes.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { inputError } from "../../../errors.ts";
import { jsonLines, readRecords } from "./json-lines.ts";
import { byId, listed, needsReference, type Question, questionOf } from "./questions.ts";

/** What a model said to both turns of a question. */
export type AnswerTurns = readonly [string, string];

export interface ModelAnswers {
  readonly model: string;
  /** By question; whole. */
  readonly answers: ReadonlyMap<number, AnswerTurns>;
  /** Answers that ran into the limit of tokens; a file does not say. */
  readonly cut?: number;
  /** Questions of which the model's template takes a dialogue not; its answer is then empty. */
  readonly refused?: number;
}

const ANSWERS = "a model's answers in FastChat's form (model_answer/<model>.jsonl)";
const REFERENCES =
  "the judge's reference answers (FastChat's fastchat/llm_judge/data/mt_bench/reference_answer/gpt-4.jsonl)";

/** What FastChat writes in place of an answer when a call has failed. */
const FAILED_CALL = "$ERROR$";

const answerRecord = z.object({
  question_id: z.number().int(),
  model_id: z.string().min(1),
  choices: z.array(z.object({ turns: z.array(z.string()).length(2, "expected the answers to two turns") })).min(1),
});

/** The answers of one model; `name` says whose where the file holds several. Every question must have one. */
export async function readModelAnswers(
  path: string,
  name: string | undefined,
  questions: readonly Question[],
): Promise<ModelAnswers> {
  const records = await readRecords(path, answerRecord, ANSWERS);
  const model = oneName(
    path,
    name,
    records.map(({ record }) => record.model_id),
    "answers",
  );
  const own = records.filter(({ record }) => record.model_id === model);
  const answers = byQuestion(own, questions);
  const missing = questions.filter(({ id }) => !answers.has(id)).map(({ id }) => id);
  if (missing.length > 0) throw inputError(path, `has no answer of ${model} to question ${listed(missing)}`);
  return { model, answers };
}

/** Reference answers to the questions that need one; each of them must be there. */
export async function readReferences(
  path: string | undefined,
  questions: readonly Question[],
): Promise<ReadonlyMap<number, AnswerTurns>> {
  const needed = questions.filter(needsReference);
  if (needed.length === 0) return new Map();
  if (path === undefined) {
    throw inputError(
      "mt-bench",
      `needs reference answers for math, reasoning and coding, which are not part of this program; give --references FILE: ${REFERENCES}`,
    );
  }
  const references = byQuestion(await readRecords(path, answerRecord, REFERENCES), questions);
  const missing = needed.filter(({ id }) => !references.has(id));
  if (missing.length === 0) return references;
  const { id, category } = missing[0]!;
  throw inputError(
    path,
    `has no reference answer to question ${id} (${category}), one of ${missing.length} that lack theirs; expected ${REFERENCES}`,
  );
}

/** The text of an answer file, in the order of the questions. */
export function formatModelAnswers({ model, answers }: ModelAnswers, questions: readonly Question[]): string {
  return jsonLines(
    questions.map(({ id }) => {
      const turns = answers.get(id)!;
      const answerId = createHash("sha256")
        .update(JSON.stringify([id, model, turns]), "utf8")
        .digest("hex")
        .slice(0, 22);
      return { question_id: id, answer_id: answerId, model_id: model, choices: [{ index: 0, turns }], tstamp: 0 };
    }),
  );
}

/** The name asked for, which must be among those found, or the only one there is. */
export function oneName(path: string, asked: string | undefined, found: readonly string[], what: string): string {
  const names = [...new Set(found)];
  if (asked !== undefined && names.includes(asked)) return asked;
  const list = names.slice(0, 8).join(", ") + (names.length > 8 ? `, … (${names.length})` : "");
  if (asked !== undefined) {
    throw inputError(path, `holds no ${what} of ${asked} but of ${list}; say whose are meant with --name`);
  }
  if (names.length === 1) return names[0]!;
  throw inputError(path, `holds ${what} of several models; say which with --name: ${list}`);
}

function byQuestion(
  records: readonly { readonly where: string; readonly record: z.output<typeof answerRecord> }[],
  questions: readonly Question[],
): Map<number, AnswerTurns> {
  const known = byId(questions);
  const answers = new Map<number, AnswerTurns>();
  for (const { where, record } of records) {
    const { id } = questionOf(known, record.question_id, where);
    if (answers.has(id)) throw inputError(where, `question ${id} is answered a second time; expected each once`);
    const [first, second] = record.choices[0]!.turns as [string, string];
    if (first === FAILED_CALL || second === FAILED_CALL) {
      throw inputError(
        where,
        `the answer to question ${id} is ${FAILED_CALL}, FastChat's mark of a failed call; ask the model again`,
      );
    }
    answers.set(id, [first, second]);
  }
  return answers;
}
