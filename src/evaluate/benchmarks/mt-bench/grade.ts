/**
 * Single-answer grading: what the judge is asked about both turns of every question, and its replies as judgments
 * (FastChat, common.py `run_judge_single`: temperature 0, 2,048 tokens, the template's system prompt).
 */
import type { StageContext } from "../../../engine/context.ts";
import type { ChatRequest } from "../../../engine/endpoint/endpoint.ts";
import { failure } from "../../../errors.ts";
import type { Judge, JudgeQuestion } from "../../judges/judge.ts";
import type { Reasoning } from "../../reasoning.ts";
import type { AnswerTurns, ModelAnswers } from "./answers.ts";
import type { Judgment } from "./judgments.ts";
import { fillTemplate, type JudgePrompts, promptName } from "./prompts.ts";
import { needsReference, type Question, TURNS, type Turn } from "./questions.ts";
import { parseRating } from "./rating.ts";

/** Most tokens of a judgment. */
export const JUDGMENT_TOKENS = 2048;

export interface Grading extends JudgeQuestion {
  readonly question: number;
  readonly turn: Turn;
  readonly prompt: string;
  readonly userPrompt: string;
}

/** One grading a turn, in FastChat's order: first turns before second, questions without a reference before those with. */
export function gradingsOf(
  questions: readonly Question[],
  answers: ReadonlyMap<number, AnswerTurns>,
  prompts: JudgePrompts,
  references: ReadonlyMap<number, AnswerTurns>,
): Grading[] {
  const ordered = [...questions.filter((one) => !needsReference(one)), ...questions.filter(needsReference)];
  return TURNS.flatMap((turn) =>
    ordered.map((question): Grading => {
      const prompt = prompts.get(promptName(question, turn))!;
      const userPrompt = fillTemplate(
        prompt.template,
        valuesOf(question, answers.get(question.id)!, references.get(question.id)),
      );
      const request: ChatRequest = {
        messages: [
          { role: "system", content: prompt.system },
          { role: "user", content: userPrompt },
        ],
        temperature: 0,
        maxTokens: JUDGMENT_TOKENS,
        topLogprobs: 0,
      };
      return { id: `${question.id}/${turn}`, question: question.id, turn, prompt: prompt.name, userPrompt, request };
    }),
  );
}

/** All fields that a template may name; which ones it does was checked when it was read. */
function valuesOf(
  { turns }: Question,
  answers: AnswerTurns,
  reference: AnswerTurns | undefined,
): Record<string, string> {
  return {
    question: turns[0],
    question_1: turns[0],
    question_2: turns[1],
    answer: answers[0],
    answer_1: answers[0],
    answer_2: answers[1],
    ...(reference && { ref_answer_1: reference[0], ref_answer_2: reference[1] }),
  };
}

/** The judgments in the order of the gradings. Where the judge failed on some, it is told after all others were asked. */
export async function grade(
  judge: Judge,
  gradings: readonly Grading[],
  { model }: ModelAnswers,
  { reporter, signal }: StageContext,
  { isKept, reasoning }: { readonly isKept: boolean; readonly reasoning: Reasoning },
): Promise<Judgment[]> {
  const stage = `mt-bench ${model}`;
  const total = gradings.length;
  const texts = new Map<string, string>();
  const failures: string[] = [];
  reporter.report({ type: "start", stage, total, unit: "judgments" });
  for await (const answer of judge.ask(gradings, { reporter, ...(signal && { signal }) })) {
    if ("failure" in answer) failures.push(answer.failure);
    else texts.set(answer.id, answer.reply.text);
    reporter.report({ type: "progress", stage, done: texts.size + failures.length, total, unit: "judgments" });
  }
  if (texts.size < total) {
    const reason = failures[0] ?? "the judge gave no answer";
    const others = isKept
      ? "the others are kept, run the same command again to go on"
      : "the others were not kept anywhere";
    throw failure(stage, `${total - texts.size} of ${total} judgments are missing (${reason}); ${others}`);
  }
  const judgments = gradings.map(({ id, question, turn, prompt, userPrompt }): Judgment => {
    const text = texts.get(id)!;
    return { question, turn, model, judge: judge.model, prompt, userPrompt, text, score: parseRating(text, reasoning) };
  });
  const unrated = judgments.filter(({ score }) => score === null).length;
  reporter.report({
    type: "end",
    stage,
    summary: `${total} judgments${unrated > 0 ? `, ${unrated} without a rating` : ""}`,
  });
  return judgments;
}
