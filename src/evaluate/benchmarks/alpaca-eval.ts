/**
 * AlpacaEval 2.0: how often a judge prefers the model's answers to 805 instructions over GPT-4 Turbo's, plainly and with
 * the answers' length held equal (Dubois, Galambosi, Liang and Hashimoto, "Length-Controlled AlpacaEval: A Simple Way to
 * Debias Automatic Evaluators", 2024). The benchmark's files are read and written, so finished annotations can be
 * scored, finished outputs judged, and ours taken back to its leaderboard.
 */
import { inputError } from "../../errors.ts";
import { REASONING_OPTION, reasoningOf } from "../reasoning.ts";
import { BASELINE, readAnnotations } from "./alpaca-eval/annotations.ts";
import { compareAlpacaEval, comparedAlpacaEval } from "./alpaca-eval/comparison.ts";
import { describeAlpacaEval } from "./alpaca-eval/description.ts";
import { placesOf } from "./alpaca-eval/instruction-order.ts";
import { estimateJudging, type JudgingOptions, judgeOutputs, readBaseline } from "./alpaca-eval/judge-outputs.ts";
import type { Judgments } from "./alpaca-eval/judged-pair.ts";
import { type LengthTables, readLengthTables } from "./alpaca-eval/length-tables.ts";
import { readInstructions } from "./alpaca-eval/model-outputs.ts";
import type { AlpacaEvalResult } from "./alpaca-eval/result.ts";
import { scoreAlpacaEval } from "./alpaca-eval/score.ts";
import type { Benchmark, BenchmarkRequest } from "./benchmark.ts";

/** Whose opinion of length `df_gamed.csv` and `instruction_difficulty.csv` hold: the annotator, and the model it asks. */
const JUDGES_OF_TABLES: readonly string[] = ["weighted_alpaca_eval_gpt4_turbo", "gpt-4-1106-preview"];

export const alpacaEval: Benchmark<AlpacaEvalResult> = {
  name: "alpaca-eval",
  summary: "how often a judge prefers the answers to 805 instructions over GPT-4 Turbo's, also at equal length",
  source: "Dubois et al. 2024, Length-Controlled AlpacaEval; alpaca_eval, weighted_alpaca_eval_gpt4_turbo",
  reads: "answers",
  judged: true,
  metric: "length_controlled_win_rate",
  metrics: ["win_rate", "length_controlled_win_rate", "discrete_win_rate"],
  finished: "annotations",
  better: "more",
  options: [
    { name: "annotations", kind: "path", summary: "finished annotations.json to score", finishedWork: true },
    { name: "gamed", kind: "path", summary: "df_gamed.csv of the data set tatsu-lab/alpaca_eval, for length control" },
    { name: "difficulty", kind: "path", summary: "instruction_difficulty.csv, from the same place" },
    { name: "baseline", kind: "path", summary: "the baseline's model_outputs.json: instructions and their order" },
    { name: "instructions", kind: "path", summary: "only these instructions, a JSON file" },
    { name: "outputs", kind: "path", summary: "finished model_outputs.json to judge", finishedWork: true },
    { name: "judge_prompt", kind: "path", summary: "alpaca_eval_clf.txt of alpaca_eval's evaluators_configs" },
    { name: "both_orders", kind: "flag", summary: "ask the judge both ways round and average", default: false },
    { name: "incomplete", kind: "flag", summary: "score a file in which instructions are missing", default: false },
    { name: "temperature", kind: "number", summary: "of the model's answers", default: 0.7, min: 0 },
    { name: "max_tokens", kind: "integer", summary: "most new tokens an answer", default: 2048, min: 1 },
    REASONING_OPTION,
  ],
  estimate: async (request) => {
    if (request.settings.annotations === undefined) return estimateJudging(optionsOf(request));
    return { prompts: (await finishedJudgments(request)).pairs.length, judge: null };
  },
  evaluate: async (request, context) => {
    const tables = await lengthTablesOf(request);
    const judgments =
      request.settings.annotations === undefined
        ? await judgeOutputs(optionsOf(request), context)
        : await finishedJudgments(request);
    const stage = `alpaca-eval ${judgments.model}`;
    for (const message of reservations(judgments, tables)) {
      context.reporter.report({ type: "warning", stage, message });
    }
    const result = scoreAlpacaEval(judgments, tables);
    return { ...result, model: request.subject?.name ?? result.model };
  },
  compared: comparedAlpacaEval,
  compare: compareAlpacaEval,
  describe: describeAlpacaEval,
};

/** What a reader of the length-controlled win rate must know. */
function reservations({ judge, pairs }: Judgments, tables: LengthTables | null): string[] {
  if (tables === null) {
    return ["no length-controlled win rate without --gamed df_gamed.csv and --difficulty instruction_difficulty.csv"];
  }
  const found: string[] = [];
  if (pairs.length < tables.difficulty.length) {
    found.push(
      `${pairs.length} of ${tables.difficulty.length} instructions are judged` +
        (placesOf(pairs).known ? "" : "; none can be told, so their difficulties are taken row by row"),
    );
  }
  if (!JUDGES_OF_TABLES.includes(judge)) {
    found.push(
      `length control rests on tables of the judge ${JUDGES_OF_TABLES[0]}, and ${judge} may see length otherwise`,
    );
  }
  return found;
}

async function finishedJudgments(request: BenchmarkRequest): Promise<Judgments> {
  if (request.settings.outputs !== undefined) {
    throw inputError("alpaca-eval", "--annotations are scored and --outputs judged; give one of them");
  }
  const baselinePath = textOf(request, "baseline");
  const listPath = textOf(request, "instructions");
  const baseline = baselinePath === undefined ? null : await readBaseline(baselinePath);
  const list = listPath === undefined ? (baseline?.outputs ?? null) : await readInstructions(listPath);
  return readAnnotations(textOf(request, "annotations")!, baseline?.generator ?? BASELINE, {
    list: list?.map(({ instruction }) => instruction) ?? null,
    incomplete: request.settings.incomplete === true,
  });
}

async function lengthTablesOf(request: BenchmarkRequest): Promise<LengthTables | null> {
  const gamed = textOf(request, "gamed");
  const difficulty = textOf(request, "difficulty");
  if (gamed === undefined && difficulty === undefined) return null;
  if (gamed !== undefined && difficulty !== undefined) return readLengthTables(difficulty, gamed);
  throw inputError(
    "alpaca-eval",
    "the length-controlled win rate needs both --gamed df_gamed.csv and --difficulty instruction_difficulty.csv, " +
      `found only ${gamed === undefined ? "--difficulty" : "--gamed"}`,
  );
}

function optionsOf(request: BenchmarkRequest): JudgingOptions {
  const { subject, settings, judge, out, seed } = request;
  return {
    baseline: textOf(request, "baseline"),
    instructions: textOf(request, "instructions"),
    judgePrompt: textOf(request, "judge_prompt"),
    outputs: textOf(request, "outputs"),
    subject,
    judge,
    bothOrders: settings.both_orders === true,
    incomplete: settings.incomplete === true,
    temperature: Number(settings.temperature),
    maxTokens: Number(settings.max_tokens),
    reasoning: reasoningOf(settings),
    seed,
    out,
  };
}

function textOf({ settings }: BenchmarkRequest, name: string): string | undefined {
  const value = settings[name];
  return value === undefined ? undefined : String(value);
}
