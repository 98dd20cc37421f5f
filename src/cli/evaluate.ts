/** `fusechat evaluate BENCHMARK`: the figures of models with their intervals, and how the models compare. */
import type { Command } from "commander";
import { EMBEDDED, type EngineSettings } from "../engine/index.ts";
import { inputError } from "../errors.ts";
import type {
  Benchmark,
  BenchmarkRequest,
  BenchmarkResult,
  BenchmarkSettings,
} from "../evaluate/benchmarks/benchmark.ts";
import { BENCHMARKS, benchmark } from "../evaluate/benchmarks/index.ts";
import type { JudgeOptions } from "../evaluate/judges/judge.ts";
import { lockOwnFolder } from "../formats/own-folder.ts";
import { fetched, textOnly } from "../models/reference.ts";
import { compareModels, type EvaluatedModel, headline, withVerdicts } from "../recipe/results.ts";
import { comparisonLines, resultTable } from "../run/result-table.ts";
import { declareEngine, type EngineFlags, engineGiven, withoutEngine } from "./engine-options.ts";
import { ARENA, ARENA_WORDS, evaluateArena } from "./evaluate-arena.ts";
import { isOfEvaluation, type KeptEvaluation, keepEvaluation } from "./evaluate-documents.ts";
import {
  declareModels,
  heldOutOf,
  type ModelAccess,
  type ModelFlags,
  type NamedSubject,
  subjectOf,
  subjectsOf,
} from "./evaluate-models.ts";
import { declareSettings, settingsOf } from "./evaluate-options.ts";
import { costsInWords, printPlan } from "./evaluate-plan.ts";
import { declareJudge, declareJudgeBudget, declareRequests, type JudgeFlags, judgeOf } from "./judge-options.ts";
import { lazyEngine } from "./lazy-engine.ts";
import { integer } from "./option-values.ts";
import type { Invocation, Verb } from "./verb.ts";

interface Options extends ModelFlags, JudgeFlags, EngineFlags {
  readonly out?: string;
  readonly plan?: boolean;
  readonly seed: number;
  readonly votes?: readonly string[];
}

/** A model, or whose finished judgments are scored (`subject` null), with the settings that go with it. */
interface Entry {
  readonly named: NamedSubject | null;
  readonly settings: BenchmarkSettings;
}

/** Everything that is the same for all models of one command. */
interface Evaluation {
  readonly benchmark: Benchmark;
  readonly judge: JudgeOptions | null;
  readonly seed: string;
  readonly kept: KeptEvaluation | null;
  readonly engine: EngineSettings;
}

export const evaluateVerb: Verb = {
  name: "evaluate",
  summary: "measure models, with intervals, and compare them",
  declare: (command: Command) => {
    const benchmarks = BENCHMARKS.map(({ name, summary }) => `${name}: ${summary}`);
    command.argument("<benchmark>", [...benchmarks, ARENA_WORDS].join("; "));
    command.addOption(
      command
        .createOption("--votes <file>", "a file of votes; may come several times")
        .argParser((path: string, before: readonly string[] | undefined) => [...(before ?? []), path])
        .helpGroup("Settings of arena:"),
    );
    declareModels(command);
    command
      .option("--out <dir>", "keep answers, judgments and results there; the same command goes on from them")
      .option("--plan", "say how many prompts, calls and tokens it will take; ask nothing")
      .option("--seed <n>", "of sampled answers", integer(), 0);
    declareSettings(command);
    declareJudge(command);
    declareJudgeBudget(command);
    declareRequests(command);
    declareEngine(command);
    command.addHelpText("after", EXAMPLES);
  },
  run: async (invocation, positional, given) => {
    const options = given as unknown as Options;
    if (positional[0] === ARENA) {
      await evaluateArena(invocation, options.votes);
      return undefined;
    }
    const chosen = benchmark(positional[0]!);
    if (options.votes !== undefined) throw inputError("--votes", `belongs to evaluate ${ARENA}`);
    const settings = settingsOf(chosen, given);
    const entries = await entriesOf(chosen, settings, options, invocation);
    const evaluation: Evaluation = {
      benchmark: chosen,
      judge: judgeFor(chosen, entries, options, invocation),
      seed: String(options.seed),
      kept: options.out === undefined ? null : keepEvaluation(options.out, chosen.name),
      engine: engineGiven(withoutEngine(options).flags) ?? EMBEDDED,
    };
    if (options.plan === true) {
      const requests = entries.map((entry) => requestOf(evaluation, entry));
      await printPlan(chosen, evaluation.judge, requests, invocation);
      return undefined;
    }
    const lock = options.out === undefined ? null : await lockOwnFolder(options.out, isOfEvaluation);
    try {
      if (entries.length > 2 || (entries.length === 2 && options.against === undefined)) {
        await evaluateSeveral(evaluation, entries, options.against !== undefined, invocation);
      } else await evaluateOne(evaluation, entries, invocation);
    } finally {
      await lock?.release();
    }
    return undefined;
  },
};

const EXAMPLES = `
A model is a folder (out/fused), one of the Hub (org/name or org/name@revision), one of a run (out/run:fused), or one behind an OpenAI-compatible server
(gpt-4o@https://api.openai.com/v1; its key comes from OPENAI_API_KEY). Of several models each is compared with
--against, else with the first, in a run with the pivot.

  fusechat evaluate held-out --model out/fused --against out/pivot --data held-out.jsonl
  fusechat evaluate exact-match --run out/run --models pivot,fused --data gsm8k.jsonl
  fusechat evaluate arena --votes votes.jsonl
  fusechat evaluate mt-bench --model out/run:fused --judge gpt-4 --judge-url https://api.openai.com/v1 --out eval --plan
`;

/** The models under test, `--against` last; without any model, finished judgments. */
async function entriesOf(
  benchmark: Benchmark,
  settings: BenchmarkSettings,
  options: Options,
  { environment, hub }: Invocation,
): Promise<Entry[]> {
  const access: ModelAccess = { environment, hub, part: options.plan === true ? textOnly : fetched };
  const subjects = await subjectsOf(options, access);
  const heldOut = settings.data === undefined ? await heldOutOf(options) : null;
  const own = heldOut !== null && "data" in settings ? { ...settings, data: heldOut } : settings;
  if (subjects.length > 0) {
    const against = options.against === undefined ? null : await subjectOf(options.against, options, access);
    // A model of --run that the others are compared with stands there already.
    const isAgainst = ({ subject }: NamedSubject): boolean =>
      subjects.length > 1 && subject.name === against?.subject.name;
    const named = [...subjects.filter((one) => !isAgainst(one)), ...(against === null ? [] : [against])];
    return named.map((one) => ({ named: one, settings: own }));
  }
  if (benchmark.reads === "weights") {
    throw inputError(`fusechat evaluate ${benchmark.name}`, "needs a model to measure; add --model FOLDER");
  }
  if (options.against === undefined) return [{ named: null, settings }];
  const { finished } = benchmark;
  if (finished === undefined) throw inputError("--against", "there is no model to compare it with; add --model FOLDER");
  const other = settingsOf(benchmark, { [finished]: options.against });
  return [
    { named: null, settings },
    { named: null, settings: { ...settings, [finished]: other[finished] } },
  ];
}

function judgeFor(
  benchmark: Benchmark,
  entries: readonly Entry[],
  options: Options,
  { environment }: Invocation,
): JudgeOptions | null {
  if (benchmark.judged || options.ensemble === "judge") {
    const judge = judgeOf(options, environment);
    const asks = entries.some(({ named, settings }) => named !== null && !namesFinishedWork(benchmark, settings));
    if (judge !== null || !asks) return judge;
    const variables = "FUSECHAT_JUDGE_MODEL and FUSECHAT_JUDGE_URL";
    throw inputError(
      `fusechat evaluate ${benchmark.name}`,
      `needs a judge; add --judge MODEL --judge-url URL, or set ${variables} (a key comes from OPENAI_API_KEY)`,
    );
  }
  const flag = options.judge !== undefined ? "--judge" : options.judgeUrl !== undefined ? "--judge-url" : undefined;
  if (flag !== undefined) throw inputError(flag, `does not belong to evaluate ${benchmark.name}, which asks no judge`);
  return null;
}

function namesFinishedWork({ options }: Benchmark, settings: BenchmarkSettings): boolean {
  return options.some(
    ({ name, kind, finishedWork }) => finishedWork && kind === "path" && settings[name] !== undefined,
  );
}

function requestOf({ judge, seed, kept }: Evaluation, { named, settings }: Entry): BenchmarkRequest {
  const subject = named?.subject ?? null;
  // Finished answers are judged too, so what the judge says of them has a place as well.
  const name = subject?.name ?? String(settings.name ?? "finished");
  return { subject, settings, judge, out: kept?.answers(name) ?? null, seed };
}

async function evaluateEntry(evaluation: Evaluation, entry: Entry, invocation: Invocation): Promise<BenchmarkResult> {
  const { benchmark, judge, kept, engine: settings } = evaluation;
  const request = requestOf(evaluation, entry);
  const { reporter, signal } = invocation;
  if (judge !== null) {
    const stage = [benchmark.name, request.subject?.name ?? []].flat().join(" ");
    reporter.report({ type: "end", stage, summary: costsInWords(await benchmark.estimate(request), judge) });
  }
  const engine = lazyEngine(settings, () => invocation.engine(settings));
  const result = await benchmark.evaluate(request, { engine, reporter, signal });
  await kept?.result(result);
  return result;
}

/** One model, perhaps with another to compare it with. */
async function evaluateOne(evaluation: Evaluation, entries: readonly Entry[], invocation: Invocation): Promise<void> {
  const { benchmark } = evaluation;
  const [entry, other] = entries;
  const result = await evaluateEntry(evaluation, entry!, invocation);
  const lines = benchmark.describe(result);
  if (other === undefined) {
    for (const line of lines) invocation.print(line);
    invocation.document(result);
    return;
  }
  const against = await evaluateEntry(evaluation, other, invocation);
  const headlineMetric = headline(benchmark, [result, against]);
  const [comparison] = withVerdicts([benchmark.compare(result, against)], headlineMetric, benchmark.better);
  for (const line of [...lines, ...comparisonLines(comparison!)]) invocation.print(line);
  const { prompts, metrics } = comparison!;
  // Of conversations the document has always spoken so.
  const counted = "conversations" in result ? { conversations: prompts } : { prompts };
  invocation.document({
    ...result,
    against: { model: against.model, ...counted, figures: against.metrics, metrics },
  });
}

/** Every model against the last one (`--against`), the pivot of a run, or the first. */
async function evaluateSeveral(
  evaluation: Evaluation,
  entries: readonly Entry[],
  hasAgainst: boolean,
  invocation: Invocation,
): Promise<void> {
  const { benchmark, kept } = evaluation;
  const models: EvaluatedModel[] = [];
  for (const entry of entries) {
    const result = await evaluateEntry(evaluation, entry, invocation);
    models.push({ name: result.model, role: entry.named?.role ?? "model", result });
  }
  const pivot = models.find(({ role }) => role === "pivot");
  const reference = hasAgainst ? models.at(-1)! : (pivot ?? models[0]!);
  const champion = models.find(({ role }) => role === "fused")?.name ?? null;
  const comparison = compareModels(benchmark, models, { name: benchmark.name, reference: reference.name, champion });
  await kept?.comparison(comparison);
  invocation.print(resultTable(comparison));
  invocation.document(comparison);
}
