/**
 * What a recipe file may say. The JSON Schema for editors (`schema/recipe.json`), the reference page
 * (`docs/recipe.md`) and the types all come from here. Every description ends in `(unit; default)`.
 *
 * Defaults are those of the papers (FuseChat 2024, sections 4.1 and appendix) where the papers state one.
 */

import { z } from "zod";
import { IRREGULAR_RULES, type IrregularRule } from "../data/irregular.ts";
import { DEFAULT_DATE, GIVEN_VARIABLES, isDay, VARIABLE_NAME } from "../data/template-settings.ts";
import { ROWS, type RowsKind } from "../distributions/collect.ts";
import type { WeightDtype } from "../engine/engine.ts";
import { WEIGHT_DTYPES } from "../fuse/options.ts";
import { type AnswersFile, answersSchema } from "./answers-schema.ts";
import { type EngineFile, engineSchema } from "./engine-schema.ts";
import { type EvaluationFile, evaluationSchema } from "./evaluation-schema.ts";
import { type FuseFile, fuseSchema } from "./fuse-schema.ts";
import {
  DIVISION_NAMES,
  LABEL_MASS_NAMES,
  METHOD_NAMES,
  SEQUENCE_NAMES,
  STRATEGY_NAMES,
  WITHIN_NAMES,
} from "./names.ts";

/** A JavaScript number that counts something. */
const count = (least: number): z.ZodInt => z.int().min(least);
const share = (): z.ZodNumber => z.number().min(0).max(1);

const modelName = () =>
  z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
      "letters, digits, dots, hyphens and underscores, beginning with a letter or digit",
    )
    .max(100);

const templateVariables = () =>
  z.record(
    z
      .string()
      .regex(VARIABLE_NAME, "the name of a template variable: letters, digits and underscores")
      .refine((name) => !GIVEN_VARIABLES.includes(name), "a name that the program does not give to templates itself"),
    z.unknown(),
  );

const modelReference = z.strictObject({
  model: z
    .string()
    .min(1)
    .describe(
      "A Hugging Face model folder, or a model of the Hub: `org/name` or `org/name@revision`. (path or id; required)",
    ),
  name: modelName()
    .optional()
    .describe(
      "What the model is called in folders, tables and the report. (text; default the last part of folder or id)",
    ),
  template_name: z
    .string()
    .min(1)
    .optional()
    .describe("Which of the model's named chat templates is used. (name; default `default`)"),
  template_variables: templateVariables()
    .optional()
    .describe(
      "Values for variables of this model's chat template, over those of `data.template_variables`. (mapping; default none)",
    ),
  engine: engineSchema()
    .optional()
    .describe("What computes this model's distributions. (name or mapping; default the recipe's)"),
});

const model = () => z.union([z.string().min(1), modelReference]);

const data = z
  .strictObject({
    path: z
      .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
      .describe(
        "Conversations: files, folders, or patterns such as `data/*.jsonl`; docs/data.md lists what is read. (path; required)",
      ),
    max_length: count(8)
      .default(2048)
      .describe("A conversation keeps the whole pairs of turns that fit this length. (tokens; default 2048)"),
    date: z
      .string()
      .refine(isDay, "a day as YYYY-MM-DD")
      .default(DEFAULT_DATE)
      .describe(
        `The day that chat templates take for today, whenever the run is made. (YYYY-MM-DD; default ${DEFAULT_DATE})`,
      ),
    template_variables: templateVariables()
      .prefault({})
      .describe(
        "Values for variables of all models' chat templates, such as `enable_thinking: false`. (mapping; default none)",
      ),
    irregular: z
      .enum(IRREGULAR_RULES)
      .default("refuse")
      .describe(
        "Records that cannot be used: `refuse` the data, or `leave-out` such records and count them by reason. (name; default refuse)",
      ),
    held_out: share()
      .lt(1)
      .default(0.02)
      .describe(
        "Share of the conversations kept out of training, chosen by the hash of their ids. (fraction; default 0.02)",
      ),
    held_out_path: z
      .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
      .optional()
      .describe("Held-out conversations of their own; `held_out` is then not used. (path; default none)"),
    size: z
      .strictObject({
        conversations: count(1).describe("All of them. (conversations; required)"),
        tokens: count(1).describe("Of all conversations, in the pivot's tokens. (tokens; required)"),
        rows: count(1).describe("Tokens of responses among them. (tokens; required)"),
      })
      .optional()
      .describe(
        "What the data will have: `plan` reckons with it as long as `path` is not there. (section; default none)",
      ),
    answers: answersSchema()
      .optional()
      .describe(
        "Train on the models' own answers to the questions of `path`, which then need none; docs/answers.md. (section; default none)",
      ),
  })
  .describe("The conversations that the models are fused on. (section; required)");

const distributions = z
  .strictObject({
    top_k: count(1).max(1024).default(10).describe("Most probable tokens stored for each row. (tokens; default 10)"),
    rows: z
      .enum(ROWS)
      .default("top")
      .describe(
        "What is stored of a row: the `top_k` most probable tokens, or `sampled`: as many draws from all of it, an unbiased target. (name; default top)",
      ),
    template: z
      .enum(["native", "pivot"])
      .default("native")
      .describe(
        "`native` prompts each source in its own chat template, `pivot` in the pivot's, as the papers do. (name; default native)",
      ),
  })
  .prefault({})
  .describe("What is stored of each model's predictions. (section; default as below)");

const align = z
  .strictObject({
    sequence: z
      .enum(SEQUENCE_NAMES as [string, ...string[]])
      .default("bytes")
      .describe(
        "Which rows of two models belong together: those that start at the same byte, or after tokens that the papers' warping pairs. (name; default bytes)",
      ),
    vocabulary: z
      .enum(STRATEGY_NAMES as [string, ...string[]])
      .default("split")
      .describe("How a source's tokens become tokens of the pivot. (name; default split)"),
    label_mass: z
      .enum(LABEL_MASS_NAMES as [string, ...string[]])
      .optional()
      .describe(
        "`chain` gives the pivot's label the probability that the source gives to its text, by the chain rule; `none` knows only the vocabulary. (name; default chain for `split`, else none)",
      ),
    divide: z
      .enum(DIVISION_NAMES as [string, ...string[]])
      .optional()
      .describe(
        "By what a source token with several places is divided: `counts` over the data, or what the `pivot` itself expects at the row. (name; default pivot for `split`, else counts)",
      ),
    within: z
      .enum(WITHIN_NAMES as [string, ...string[]])
      .optional()
      .describe(
        "`conditional` gives rows that begin within a token of the source, or where one model writes a space by itself, the source's distribution given what the pivot has written; `none` leaves the first to the label and reads spaces as they lie. (name; default conditional for `split`, else none)",
      ),
    unshared: z
      .enum(["label", "pivot", "skip"])
      .default("label")
      .describe(
        "Target of a row that the chosen source does not share: the label alone, the pivot's own distribution, or none. (name; default label)",
      ),
    width: count(1)
      .max(4096)
      .optional()
      .describe("Pivot tokens kept for each aligned row. (tokens; default twice distributions.top_k)"),
  })
  .prefault({})
  .describe("How a source's predictions come to the pivot's tokens. (section; default as below)");

const merge = z.strictObject({
  name: modelName()
    .optional()
    .describe(
      "Folder below `merges/` of the second and later merges; the first is always `fused/`. (text; default the method, and its variant)",
    ),
  method: z
    .enum(METHOD_NAMES as [string, ...string[]])
    .optional()
    .describe(
      "How the targets become one model; `fusechat list methods` lists them. (name; default sce, with `fuse.sources: together` linear, which leaves the one target as it is)",
    ),
  variant: z
    .enum(["fusechat", "paper", "mergekit"])
    .optional()
    .describe("For `sce`: which reading of the algorithm. (name; default fusechat)"),
  select_topk: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe("For `sce`: share of each tensor's entries kept, those of highest variance. (fraction; default 0.1)"),
  weights: z
    .array(z.number())
    .min(1)
    .optional()
    .describe(
      "For methods that weigh the targets: a weight for each, in the order of the sources. (no unit; default equal weights)",
    ),
  parameters: z
    .record(z.string(), z.union([z.number(), z.boolean(), z.string()]))
    .optional()
    .describe("Further options of the method, by the names of a mergekit file. (mapping; default those of the method)"),
  dtype: z
    .enum(WEIGHT_DTYPES)
    .optional()
    .describe("Type in which the merged model is written. (name; default the pivot's own)"),
});

export const BASELINES = ["sft", "sft-merge", "multi", "pairwise"] as const;
/** A control that is trained beside the targets. */
export type Baseline = (typeof BASELINES)[number];

const schema = z
  .strictObject({
    pivot: model().describe(
      "The model that fixes tokenizer, architecture and first weights: a folder, a model of the Hub (`org/name@revision`), or a mapping with a name. (path or id; required)",
    ),
    sources: z
      .array(model())
      .min(1)
      .describe(
        "The models whose knowledge is wanted; each makes one target, or all of them together do. (list of paths or ids; required)",
      ),
    data,
    distributions,
    align,
    fuse: fuseSchema(),
    merge: z
      .union([merge, z.array(merge).min(1)])
      .prefault({})
      .describe(
        "How the targets become the fused model; of a list the first is the fused model, the others are for comparison. (section; default as below)",
      ),
    baselines: z
      .array(z.enum(BASELINES))
      .default([])
      .describe(
        "Controls trained beside the targets: `sft` is plain fine-tuning of the pivot, `sft-merge` the same merge of as many fine-tuning runs as there are targets, `multi` one target of all sources together, `pairwise` the papers' way beside `fuse.sources: together`: a target for each source and their merge by SCE. (list of names; default none)",
      ),
    evaluate: evaluationSchema
      .default(["held-out"])
      .describe(
        "Benchmarks for the models of the run: a list, or a mapping that may also name a judge and say what must hold. (list or section; default [held-out])",
      ),
    seed: z.int().min(0).max(4294967295).default(0).describe("Seed of everything random. (no unit; default 0)"),
    engine: engineSchema().default("onnx").describe("What computes. (name or mapping; default onnx)"),
  })
  .describe("A recipe of fusechat: which models are fused, on which conversations, and how.");

export type ModelReference =
  | string
  | {
      model: string;
      name?: string | undefined;
      template_name?: string | undefined;
      template_variables?: Record<string, unknown> | undefined;
      engine?: EngineFile | undefined;
    };

/** Of data that is not here yet. */
export interface DataSize {
  conversations: number;
  tokens: number;
  rows: number;
}

export interface MergeFile {
  name?: string | undefined;
  method?: string | undefined;
  variant?: "fusechat" | "paper" | "mergekit" | undefined;
  select_topk?: number | undefined;
  weights?: number[] | undefined;
  parameters?: Record<string, number | boolean | string> | undefined;
  dtype?: WeightDtype | undefined;
}

/** A recipe as the file says it, with defaults filled in. */
export interface RecipeFile {
  pivot: ModelReference;
  sources: ModelReference[];
  data: {
    path: string | string[];
    max_length: number;
    date: string;
    template_variables: Record<string, unknown>;
    irregular: IrregularRule;
    held_out: number;
    held_out_path?: string | string[] | undefined;
    size?: DataSize | undefined;
    answers?: AnswersFile | undefined;
  };
  distributions: { top_k: number; rows: RowsKind; template: "native" | "pivot" };
  align: {
    sequence: string;
    vocabulary: string;
    label_mass?: string | undefined;
    divide?: string | undefined;
    within?: string | undefined;
    unshared: "label" | "pivot" | "skip";
    width?: number | undefined;
  };
  fuse: FuseFile;
  merge: MergeFile | MergeFile[];
  baselines: Baseline[];
  evaluate: EvaluationFile;
  seed: number;
  engine: EngineFile;
}

export const recipeSchema: z.ZodType<RecipeFile> = schema;
