/** The recipe's evaluation as the program uses it: every benchmark with a name and all its settings. */

import type { IrregularRule } from "../data/irregular.ts";
import type { Benchmark } from "../evaluate/benchmarks/benchmark.ts";
import { BENCHMARKS } from "../evaluate/benchmarks/index.ts";
import { emptyTable } from "../table.ts";
import type { BenchmarkEntryFile, BenchmarksFile, EvaluationFile, JudgeFile, Setting } from "./evaluation-schema.ts";

export interface RecipeBenchmark {
  /** Names files, tables and gates; unique in the recipe. */
  readonly name: string;
  readonly benchmark: string;
  /** By the benchmark's names, defaults filled in. Without `data` the run's held-out conversations are meant. */
  readonly settings: Readonly<Record<string, Setting>>;
  /** Names or roles of models; null: all of the run. */
  readonly models: readonly string[] | null;
}

export interface RecipeJudge {
  /** null: from the environment. */
  readonly model: string | null;
  readonly url: string | null;
  readonly concurrency: number;
  readonly max_calls: number | null;
  readonly max_tokens: number | null;
  /** Seconds. */
  readonly timeout: number;
  readonly retries: number;
}

export interface RecipeEvaluation {
  readonly benchmarks: readonly RecipeBenchmark[];
  readonly judge: RecipeJudge;
  /** As written. */
  readonly gates: readonly string[];
}

const DEFAULT_JUDGE: JudgeFile = { concurrency: 8, timeout: 120, retries: 5 };

/** What an entry does not say of length and irregular records is as in the recipe's data. */
export function writeOutEvaluation(file: EvaluationFile, data: DataDefaults): RecipeEvaluation {
  const { benchmarks, judge, gates } = isList(file) ? { benchmarks: file, judge: DEFAULT_JUDGE, gates: [] } : file;
  return {
    benchmarks: benchmarks.map((entry) =>
      writeOutBenchmark(typeof entry === "string" ? { benchmark: entry } : entry, data),
    ),
    judge: {
      model: judge.model ?? null,
      url: judge.url ?? null,
      concurrency: judge.concurrency,
      max_calls: judge.max_calls ?? null,
      max_tokens: judge.max_tokens ?? null,
      timeout: judge.timeout,
      retries: judge.retries,
    },
    gates,
  };
}

function writeOutBenchmark(entry: BenchmarkEntryFile, data: DataDefaults): RecipeBenchmark {
  const { benchmark, as: name, models, ...given } = entry;
  const settings: Record<string, Setting> = emptyTable();
  for (const option of benchmarkOf(benchmark).options) {
    const otherwise = isDataDefault(option.name) ? data[option.name] : option.default;
    const value = (given[option.name] as Setting | undefined) ?? otherwise;
    if (value !== undefined) settings[option.name] = value;
  }
  return { name: name ?? benchmark, benchmark, settings, models: models ?? null };
}

/** Options whose default a run takes from its own data. */
export const MAX_LENGTH = "max_length";
const IRREGULAR = "irregular";

/** Of the recipe's data. */
interface DataDefaults {
  /** Tokens. */
  readonly [MAX_LENGTH]: number;
  readonly [IRREGULAR]: IrregularRule;
}

function isDataDefault(name: string): name is keyof DataDefaults {
  return name === MAX_LENGTH || name === IRREGULAR;
}

/** The option that a run's held-out conversations stand for. */
export const DATA = "data";

/** The benchmark of an entry; the schema has checked its name. */
export function benchmarkOf(name: string): Benchmark {
  return BENCHMARKS.find((candidate) => candidate.name === name)!;
}

/** True where models are asked for answers, not for probabilities. */
export function readsAnswers(benchmark: string): boolean {
  return benchmarkOf(benchmark).reads === "answers";
}

/** True where an evaluation reads the conversations that the run itself has held out. */
export function readsHeldOut({ benchmark, settings }: RecipeBenchmark): boolean {
  return settings[DATA] === undefined && benchmarkOf(benchmark).options.some(({ name }) => name === DATA);
}

/** The entries with where each stands: below `evaluate`, or below `evaluate.benchmarks`. */
export function entriesOf(file: EvaluationFile): { entry: string | BenchmarkEntryFile; path: (string | number)[] }[] {
  const list: BenchmarksFile = isList(file) ? file : file.benchmarks;
  const place = isList(file) ? ["evaluate"] : ["evaluate", "benchmarks"];
  return list.map((entry, index) => ({ entry, path: [...place, index] }));
}

function isList(file: EvaluationFile): file is BenchmarksFile {
  return Array.isArray(file);
}
