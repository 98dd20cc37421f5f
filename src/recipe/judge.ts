/**
 * Who judges in a run: the recipe may name model and address, the environment says what it leaves open, and keys come
 * from there alone.
 */
import { inputError } from "../errors.ts";
import type { JudgeOptions } from "../evaluate/judges/judge.ts";
import { benchmarkOf, type RecipeJudge } from "./evaluation.ts";
import type { Recipe } from "./recipe.ts";

interface NamedJudge {
  readonly model?: string;
  readonly url?: string;
}

/** What command line and environment know of a judge. */
export interface JudgeAccess {
  /** Goes before what the recipe says. */
  readonly chosen: NamedJudge;
  /** Where the recipe says nothing. */
  readonly otherwise: NamedJudge;
  /** The key that is meant for this address, if there is one. */
  keyFor(url: string): string | undefined;
}

export const NO_ACCESS: JudgeAccess = { chosen: {}, otherwise: {}, keyFor: () => undefined };

export function needsJudge({ data, evaluate }: Recipe): boolean {
  return data.answers?.select === "judge" || evaluate.benchmarks.some(({ benchmark }) => benchmarkOf(benchmark).judged);
}

/** Who would judge, as far as that is known; null where it is not, or nobody is needed. */
export function plannedJudge(recipe: Recipe, access: JudgeAccess): JudgeOptions | null {
  const { judge } = recipe.evaluate;
  const { model, url } = namedJudge(judge, access);
  return model !== undefined && url !== undefined && needsJudge(recipe) ? judgeOptionsOf(judge, access, "") : null;
}

function namedJudge(judge: RecipeJudge, { chosen, otherwise }: JudgeAccess): NamedJudge {
  const model = chosen.model ?? judge.model ?? otherwise.model;
  const url = chosen.url ?? judge.url ?? otherwise.url;
  return { ...(model === undefined ? {} : { model }), ...(url === undefined ? {} : { url }) };
}

/** `where` places the recipe's judge, for the message where nobody says who judges. */
export function judgeOptionsOf(judge: RecipeJudge, access: JudgeAccess, where: string): JudgeOptions {
  const { model, url } = namedJudge(judge, access);
  if (model === undefined || url === undefined) {
    const missing = model === undefined ? "model" : "url";
    const variable = model === undefined ? "FUSECHAT_JUDGE_MODEL" : "FUSECHAT_JUDGE_URL";
    throw inputError(
      where,
      `this recipe needs a judge, and its ${missing} is not known; set judge.${missing} or ${variable}`,
    );
  }
  const apiKey = access.keyFor(url);
  return {
    endpoint: {
      url,
      model,
      ...(apiKey === undefined ? {} : { apiKey }),
      concurrency: judge.concurrency,
      timeoutSeconds: judge.timeout,
      attempts: judge.retries + 1,
    },
    spent: { calls: 0, tokens: 0 },
    ...(judge.max_calls === null ? {} : { maxCalls: judge.max_calls }),
    ...(judge.max_tokens === null ? {} : { maxTokens: judge.max_tokens }),
  };
}
