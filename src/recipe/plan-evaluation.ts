/**
 * What the evaluations of a recipe will ask for: prompts of each model, and calls and tokens of a judge, all before the
 * first call. It is the benchmarks that say it, from their own files, so files that are missing or broken are found
 * here too.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Conversation } from "../data/conversation.ts";
import { writeConversations } from "../data/read.ts";
import type { JudgeEstimate, JudgeOptions } from "../evaluate/judges/judge.ts";
import { benchmarkOf, type RecipeBenchmark, readsHeldOut } from "./evaluation.ts";
import { evaluationRequest } from "./evaluation-request.ts";
import { evaluatedModels, RUN_FILES } from "./layout.ts";
import type { Recipe } from "./recipe.ts";

export interface PlannedEvaluation {
  readonly name: string;
  readonly benchmark: string;
  readonly models: number;
  /** Of each model. */
  readonly prompts: number;
  /** Of all models together; null where nobody judges. */
  readonly judge: (JudgeEstimate & { readonly model: string; readonly url: string }) | null;
}

/** `judge` null: whoever it will be, costs follow from the questions. */
export async function planEvaluation(
  recipe: Recipe,
  evaluation: RecipeBenchmark,
  heldOut: readonly Conversation[],
  judge: JudgeOptions | null,
): Promise<PlannedEvaluation> {
  const benchmark = benchmarkOf(evaluation.benchmark);
  const models = evaluatedModels(recipe, evaluation);
  const planned = { name: evaluation.name, benchmark: benchmark.name, models: models.length };
  if (readsHeldOut(evaluation) && benchmark.reads === "weights") {
    return { ...planned, prompts: heldOut.length, judge: null };
  }
  const asked = benchmark.judged ? (judge ?? UNKNOWN_JUDGE) : null;
  const { prompts, judge: estimate } = await withHeldOut(readsHeldOut(evaluation) ? heldOut : [], (run) =>
    // No model has answered yet and no judgment is kept, so one model's estimate is every model's.
    benchmark.estimate({ ...evaluationRequest(recipe, evaluation, models[0]!, run, asked), out: null }),
  );
  if (estimate === null || asked === null) return { ...planned, prompts, judge: null };
  const { model, url } = asked.endpoint;
  return {
    ...planned,
    prompts,
    judge: {
      model,
      url,
      calls: estimate.calls * models.length,
      fromLedger: estimate.fromLedger * models.length,
      promptTokens: estimate.promptTokens * models.length,
      answerTokensAtMost: estimate.answerTokensAtMost * models.length,
    },
  };
}

/** Of conversations that are not here: so many prompts, and nothing of what judging them costs. */
export function expectedEvaluation(recipe: Recipe, evaluation: RecipeBenchmark, prompts: number): PlannedEvaluation {
  const { name, benchmark } = evaluation;
  return { name, benchmark, models: evaluatedModels(recipe, evaluation).length, prompts, judge: null };
}

/** Benchmarks read files, and the run that holds these conversations is not there yet: a passing folder stands for it. */
async function withHeldOut<T>(heldOut: readonly Conversation[], use: (run: string) => Promise<T>): Promise<T> {
  const run = await mkdtemp(join(tmpdir(), "fusechat-plan-"));
  try {
    const path = join(run, RUN_FILES.heldOut);
    await mkdir(dirname(path));
    await writeConversations(path, heldOut);
    return await use(run);
  } finally {
    await rm(run, { recursive: true, force: true });
  }
}

const UNKNOWN_JUDGE: JudgeOptions = {
  endpoint: { url: "http://judge", model: "the judge", concurrency: 1, timeoutSeconds: 1, attempts: 1 },
};
