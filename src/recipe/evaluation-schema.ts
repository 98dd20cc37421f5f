/**
 * The recipe's `evaluate`: a list of benchmarks, or a mapping of benchmarks, a judge and gates. An entry is a
 * benchmark's name, or a mapping that may set what the benchmark lets be set; those keys come from the benchmarks
 * themselves, so a new benchmark needs no line here.
 */

import { z } from "zod";
import type { Benchmark, BenchmarkOption } from "../evaluate/benchmarks/benchmark.ts";
import { BENCHMARKS } from "../evaluate/benchmarks/index.ts";
import { type Table, tableOf } from "../table.ts";
import { BENCHMARK_NAMES } from "./names.ts";

export type Setting = string | number | boolean;

export interface BenchmarkEntryFile {
  readonly benchmark: string;
  readonly as?: string | undefined;
  readonly models?: readonly string[] | undefined;
  readonly [setting: string]: Setting | readonly string[] | undefined;
}

export interface JudgeFile {
  readonly model?: string | undefined;
  readonly url?: string | undefined;
  readonly concurrency: number;
  readonly max_calls?: number | undefined;
  readonly max_tokens?: number | undefined;
  readonly timeout: number;
  readonly retries: number;
}

export type BenchmarksFile = readonly (string | BenchmarkEntryFile)[];

export type EvaluationFile =
  | BenchmarksFile
  | { readonly benchmarks: BenchmarksFile; readonly judge: JudgeFile; readonly gates: readonly string[] };

/** Keys of an entry that are the recipe's own. */
const ENTRY_KEYS = {
  as: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, "letters, digits, hyphens and underscores, beginning with a letter or digit")
    .max(60)
    .optional()
    .describe(
      "What files, tables and gates call this evaluation; two of one benchmark need two names. (text; default the benchmark's name)",
    ),
  models: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe(
      "Models to evaluate, by name or by role: pivot, sources, targets, fused, merges, baselines. (list of names; default all)",
    ),
};

function entrySchema({ name, summary, options }: Benchmark): z.ZodObject {
  const own = options.filter(({ finishedWork }) => finishedWork !== true);
  const settings = own.map((option) => [option.name, settingSchema(option, name)] as const);
  const benchmark = z.literal(name).describe(`${capitalised(summary)}. (name; required)`);
  return z.strictObject({ benchmark, ...ENTRY_KEYS, ...Object.fromEntries(settings) });
}

/** Where a run knows better than the benchmark what is meant. */
const RUN_DEFAULTS: Table<string> = tableOf({
  data: "the run's held-out conversations",
  max_length: "data.max_length",
  irregular: "data.irregular",
});

function settingSchema(option: BenchmarkOption, benchmark: string): z.ZodType {
  const otherwise = RUN_DEFAULTS[option.name] ?? String(option.default ?? "none");
  const description = `\`${benchmark}\`: ${option.summary}. (${KIND_WORDS[option.kind]}; default ${otherwise})`;
  return valueSchema(option).optional().describe(description);
}

const KIND_WORDS: Readonly<Record<BenchmarkOption["kind"], string>> = {
  path: "path",
  text: "text",
  number: "number",
  integer: "whole number",
  flag: "yes or no",
};

function valueSchema({ kind, choices, min, max }: BenchmarkOption): z.ZodType {
  if (choices !== undefined) return z.enum(choices as [string, ...string[]]);
  if (kind === "flag") return z.boolean();
  if (kind === "path" || kind === "text") return z.string().min(1);
  const number = kind === "integer" ? z.int() : z.number();
  return number.min(min ?? Number.MIN_SAFE_INTEGER).max(max ?? Number.MAX_SAFE_INTEGER);
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const entries = z.array(
  z.union([
    z.enum(BENCHMARK_NAMES as [string, ...string[]]),
    z.discriminatedUnion("benchmark", BENCHMARKS.map(entrySchema) as [z.ZodObject, ...z.ZodObject[]]),
  ]),
);

const judge = z
  .strictObject({
    model: z
      .string()
      .min(1)
      .optional()
      .describe("The server's name of the judging model. (text; default $FUSECHAT_JUDGE_MODEL)"),
    url: z
      .string()
      .regex(/^https?:\/\/\S+$/, "an address that begins with http:// or https://")
      .optional()
      .describe(
        "Base address of its OpenAI-compatible server; keys come from the environment alone. (address; default $FUSECHAT_JUDGE_URL or $OPENAI_BASE_URL)",
      ),
    concurrency: z.int().min(1).max(1024).default(8).describe("Requests in flight at most. (requests; default 8)"),
    max_calls: z
      .int()
      .min(1)
      .optional()
      .describe(
        "Most questions to the judge before the run stops; run again it may ask as many once more. (calls; default no limit)",
      ),
    max_tokens: z
      .int()
      .min(1)
      .optional()
      .describe("The same in tokens, questions and answers together. (tokens; default no limit)"),
    timeout: z
      .number()
      .gt(0)
      .max(86_400)
      .default(120)
      .describe("Until a question without an answer counts as failed. (seconds; default 120)"),
    retries: z.int().min(0).max(100).default(5).describe("Further attempts after a failed one. (attempts; default 5)"),
  })
  .prefault({})
  .describe("Who judges answers, and how much it may cost. (section; default from the environment)");

const schema = z.union([
  entries,
  z.strictObject({
    benchmarks: entries
      .default(["held-out"])
      .describe(
        "Benchmarks for the models of the run: a name, or a mapping with `benchmark` and its settings. (list; default [held-out])",
      ),
    judge,
    gates: z
      .array(z.string().min(1))
      .default([])
      .describe(
        "What must hold, else `run` ends with exit code 3: `fused.held_out < pivot.held_out, p < 0.01`. (list of comparisons; default none)",
      ),
  }),
]);

export const evaluationSchema: z.ZodType<EvaluationFile> = schema as unknown as z.ZodType<EvaluationFile>;
