/**
 * From a model, or from its finished answers, to judgments. What the judge will need is read before the first answer
 * is asked for, and everything that was paid for is kept: answers and judgments as they come, FastChat's files at the end.
 */
import { join } from "node:path";
import type { StageContext } from "../../../engine/context.ts";
import { inputError } from "../../../errors.ts";
import { writeFileAtomic } from "../../../formats/files.ts";
import type { JudgeEstimate, JudgeOptions } from "../../judges/judge.ts";
import { openJudge } from "../../judges/open.ts";
import { answerIn, type Reasoning } from "../../reasoning.ts";
import { choiceEstimate, together } from "../../subjects/choice-estimate.ts";
import { openSubject } from "../../subjects/open.ts";
import type { SubjectReference } from "../../subjects/subject.ts";
import {
  type AnswerTurns,
  formatModelAnswers,
  type ModelAnswers,
  readModelAnswers,
  readReferences,
} from "./answers.ts";
import { dialogueOf, generateAnswers } from "./generate.ts";
import { grade, gradingsOf } from "./grade.ts";
import { formatJudgments, type Judgment } from "./judgments.ts";
import { readJudgePrompts } from "./prompts.ts";
import { type Question, TURNS } from "./questions.ts";
import { emptyAnswers } from "./result.ts";

export interface JudgedOptions {
  readonly questions: readonly Question[];
  /** Paths of FastChat's files. */
  readonly prompts: string | undefined;
  readonly references: string | undefined;
  /** Finished answers; the subject is then not asked. */
  readonly answers: string | undefined;
  /** The model that they are of. */
  readonly name: string | undefined;
  readonly subject: SubjectReference | null;
  readonly judge: JudgeOptions | null;
  /** New tokens an answer. */
  readonly maxTokens: number;
  readonly seed: string;
  /** Whether the judge sees the model's reasoning, and its own is searched for a rating. */
  readonly reasoning: Reasoning;
  /** Folder for what is kept, or null. */
  readonly out: string | null;
}

export interface Judged {
  readonly answered: ModelAnswers;
  readonly judgments: readonly Judgment[];
}

export async function judgeAnswers(options: JudgedOptions, context: StageContext): Promise<Judged> {
  const { questions, out } = options;
  const source = options.answers ?? options.subject;
  if (source === null) {
    throw inputError("mt-bench", "needs a model to ask, or finished --answers, or finished --judgments");
  }
  const judgeOptions = judgeOf(options);
  const prompts = await readJudgePrompts(options.prompts);
  const references = await readReferences(options.references, questions);
  const answered = withoutReasoning(await answersOf(source, options, context), options.reasoning);
  checkAnswers(answered, options.maxTokens, context);
  if (out !== null) {
    const file = join(out, "model_answer", `${fileName(answered.model)}.jsonl`);
    await writeFileAtomic(file, formatModelAnswers(answered, questions));
  }
  const judge = await openJudge(judgeOptions, ledgerOf(out));
  try {
    const gradings = gradingsOf(questions, answered.answers, prompts, references);
    const judgments = await grade(judge, gradings, answered, context, {
      isKept: out !== null,
      reasoning: options.reasoning,
    });
    if (out !== null) {
      const file = join(out, "model_judgment", `${fileName(judge.model)}_single.jsonl`);
      await writeFileAtomic(file, formatJudgments(judgments));
    }
    return { answered, judgments };
  } finally {
    await judge.dispose();
  }
}

/**
 * What the judge will be asked. Exact where the answers are finished; else an upper bound, as if every answer were as
 * long as it may be and nothing were kept of an earlier run.
 */
export async function estimateJudging(options: JudgedOptions): Promise<JudgeEstimate> {
  const { questions, maxTokens } = options;
  const judgeOptions = judgeOf(options);
  const prompts = await readJudgePrompts(options.prompts);
  const references = await readReferences(options.references, questions);
  const finished = options.answers !== undefined;
  const answers = finished
    ? withoutReasoning(await readModelAnswers(options.answers, options.name, questions), options.reasoning).answers
    : new Map(questions.map(({ id }): [number, AnswerTurns] => [id, ["", ""]]));
  const judge = await openJudge(judgeOptions, finished ? ledgerOf(options.out) : null);
  try {
    const estimate = judge.estimate(gradingsOf(questions, answers, prompts, references));
    if (finished) return estimate;
    // The judge reads one answer with the first turn, both with the second.
    const grading = { ...estimate, promptTokens: estimate.promptTokens + 3 * maxTokens * questions.length };
    return together(grading, choosing(options));
  } finally {
    await judge.dispose();
  }
}

/** What it takes to choose the answers of an ensemble; with second turns the judge reads the first answer too. */
function choosing({ questions, subject, maxTokens }: JudgedOptions): JudgeEstimate {
  const dialogues = questions.flatMap((question) => TURNS.map((turn) => dialogueOf(question, turn, "")));
  const estimate = choiceEstimate(subject, dialogues, maxTokens);
  return { ...estimate, promptTokens: estimate.promptTokens + (maxTokens * estimate.calls) / TURNS.length };
}

/** `source`: the path of finished answers, or who is asked. */
async function answersOf(
  source: string | SubjectReference,
  { questions, name, judge, out, maxTokens, seed }: JudgedOptions,
  context: StageContext,
): Promise<ModelAnswers> {
  if (typeof source === "string") return readModelAnswers(source, name, questions);
  const subject = await openSubject(source, context, judge, out === null ? null : join(out, "answers.jsonl"));
  try {
    return await generateAnswers(subject, questions, { maxTokens, seed }, context.signal);
  } finally {
    await subject.dispose();
  }
}

/** As the judge sees them, and as they are kept in FastChat's files. */
function withoutReasoning(answered: ModelAnswers, reasoning: Reasoning): ModelAnswers {
  const shown = [...answered.answers].map(([id, [first, second]]): [number, AnswerTurns] => [
    id,
    [answerIn(first, reasoning), answerIn(second, reasoning)],
  ]);
  return { ...answered, answers: new Map(shown) };
}

/** Tells what is wrong with the answers; refuses them where there are none. */
function checkAnswers(answered: ModelAnswers, maxTokens: number, { reporter }: StageContext): void {
  const { model, cut = 0, refused = 0 } = answered;
  const stage = `mt-bench ${model}`;
  const empty = emptyAnswers(answered);
  const total = answered.answers.size * TURNS.length;
  if (empty === total) throw inputError(stage, `all ${total} answers are empty; there is nothing to judge`);
  const told: string[] = [];
  if (cut > 0) told.push(`${cut} of ${total} answers are cut at ${maxTokens} tokens`);
  if (refused > 0)
    told.push(
      `${refused} of ${answered.answers.size} questions could not be asked: the template refuses them, or the context is too short`,
    );
  if (empty > 0) told.push(`${empty} of ${total} answers are empty; the judge sees them as they are`);
  for (const message of told) reporter.report({ type: "warning", stage, message });
}

function judgeOf({ judge }: JudgedOptions): JudgeOptions {
  if (judge !== null) return judge;
  throw inputError(
    "mt-bench",
    "needs a judge, a model behind an OpenAI-compatible endpoint; or give finished --judgments",
  );
}

function ledgerOf(out: string | null): string | null {
  return out === null ? null : join(out, "ledger.jsonl");
}

/** Characters of a file name; the end of a longer path tells models apart. */
const LONGEST_NAME = 120;

/** A model's name as a file name: what separates folders, and what no file system takes, becomes `_`. */
function fileName(model: string): string {
  return model
    .replace(/[\\/:*?"<>|\p{Cc}]/gu, "_")
    .slice(-LONGEST_NAME)
    .replace(/^\.+/, "_");
}
