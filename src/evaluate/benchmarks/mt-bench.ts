/**
 * MT-Bench: 80 questions of two turns in eight categories, every answer graded from 1 to 10 by a judge that sees
 * reference answers in math, reasoning and coding (Zheng et al., "Judging LLM-as-a-Judge with MT-Bench and Chatbot
 * Arena", NeurIPS 2023). FastChat's files are read and written, so finished judgments can be scored, finished answers
 * judged, and ours taken back to FastChat.
 */
import type { StageContext } from "../../engine/context.ts";
import { REASONING_OPTION, reasoningOf } from "../reasoning.ts";
import type { Benchmark, BenchmarkRequest } from "./benchmark.ts";
import { comparedMtBench, compareMtBench } from "./mt-bench/comparison.ts";
import { describeMtBench } from "./mt-bench/description.ts";
import { estimateJudging, type JudgedOptions, judgeAnswers } from "./mt-bench/judged.ts";
import { readJudgments } from "./mt-bench/judgments.ts";
import { type GradedQuestion, publishedQuestions, readQuestions } from "./mt-bench/questions.ts";
import { type MtBenchResult, mtBenchResult } from "./mt-bench/result.ts";

export const mtBench: Benchmark<MtBenchResult> = {
  name: "mt-bench",
  summary: "a judge's scores of 1 to 10 for answers to 80 two-turn questions in eight categories",
  source: "Zheng et al. 2023, Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena; FastChat, llm_judge",
  reads: "answers",
  judged: true,
  metric: "average",
  finished: "name",
  metrics: ["turn_1", "turn_2", "average", "category"],
  better: "more",
  options: [
    { name: "questions", kind: "path", summary: "question.jsonl of FastChat's fastchat/llm_judge/data/mt_bench" },
    { name: "prompts", kind: "path", summary: "judge_prompts.jsonl of FastChat's fastchat/llm_judge/data" },
    { name: "references", kind: "path", summary: "the judge's reference_answer/<judge>.jsonl, from the same place" },
    {
      name: "judgments",
      kind: "path",
      summary: "finished judgments to score: model_judgment/<judge>_single.jsonl",
      finishedWork: true,
    },
    {
      name: "answers",
      kind: "path",
      summary: "finished answers to judge: model_answer/<model>.jsonl",
      finishedWork: true,
    },
    { name: "name", kind: "text", summary: "the model, where judgments or answers are of several", finishedWork: true },
    { name: "max_tokens", kind: "integer", summary: "most new tokens an answer", default: 1024, min: 1 },
    REASONING_OPTION,
  ],
  estimate: async (request) => {
    if (textOf(request, "judgments") !== undefined) {
      return { prompts: (await gradedQuestions(request)).length, judge: null };
    }
    const options = await optionsOf(request);
    return { prompts: options.questions.length, judge: await estimateJudging(options) };
  },
  evaluate: async (request, context) => {
    const judgments = textOf(request, "judgments");
    const result = judgments === undefined ? await judge(request, context) : await score(request, judgments, context);
    return { ...result, model: request.subject?.name ?? result.model };
  },
  compared: comparedMtBench,
  compare: compareMtBench,
  describe: describeMtBench,
};

async function score(request: BenchmarkRequest, path: string, { reporter }: StageContext): Promise<MtBenchResult> {
  const questions = await gradedQuestions(request);
  const result = mtBenchResult(questions, await readJudgments(path, nameOf(request), questions), null);
  const { repeated_judgments: repeated } = result;
  if (repeated !== undefined) {
    const message = `${repeated} of ${result.judgments} judgments are of turns that were judged before; all of them count in the means, as in FastChat`;
    reporter.report({ type: "warning", stage: `mt-bench ${result.model}`, message });
  }
  return result;
}

/** Of finished judgments; without a file of questions they must be of the published ones. */
async function gradedQuestions(request: BenchmarkRequest): Promise<readonly GradedQuestion[]> {
  const path = textOf(request, "questions");
  return path === undefined ? publishedQuestions() : readQuestions(path);
}

async function judge(request: BenchmarkRequest, context: StageContext): Promise<MtBenchResult> {
  const options = await optionsOf(request);
  const { judgments, answered } = await judgeAnswers(options, context);
  const { reasoning } = options;
  return { ...mtBenchResult(options.questions, judgments, answered), reasoning };
}

async function optionsOf(request: BenchmarkRequest): Promise<JudgedOptions> {
  const { subject, settings, judge: options, out, seed } = request;
  return {
    questions: await readQuestions(textOf(request, "questions")),
    prompts: textOf(request, "prompts"),
    references: textOf(request, "references"),
    answers: textOf(request, "answers"),
    name: nameOf(request),
    subject,
    judge: options,
    maxTokens: Number(settings.max_tokens),
    reasoning: reasoningOf(settings),
    seed,
    out,
  };
}

/** Whose finished work is meant. */
function nameOf(request: BenchmarkRequest): string | undefined {
  return textOf(request, "name") ?? request.subject?.name;
}

function textOf({ settings }: BenchmarkRequest, name: string): string | undefined {
  const value = settings[name];
  return value === undefined ? undefined : String(value);
}
