/** A recipe as the program uses it: every default filled in, every model with a name, short forms written out. */

import type { IrregularRule } from "../data/irregular.ts";
import type { WeightDtype } from "../engine/engine.ts";
import type { EngineSettings } from "../engine/index.ts";
import type { LoraSettings } from "../engine/lora.ts";
import { isServerKind } from "../engine/server/kinds/index.ts";
import type { RecipeAnswers } from "./answers-schema.ts";
import type { RecipeEvaluation } from "./evaluation.ts";
import type { Baseline, DataSize, RecipeFile } from "./schema.ts";

export interface RecipeModel {
  /** Unique in the recipe; names folders, tables and charts. */
  readonly name: string;
  /**
   * As written after `parseRecipe`. After `loadRecipe` the absolute path of a folder, or an id of the Hub; after
   * `locateModels` a folder.
   */
  readonly model: string;
  /** `org/name@commit` of a model of the Hub, after `locateModels`. */
  readonly hub?: string;
  /** Which of its chat templates is used; null: the default one. */
  readonly template_name: string | null;
  /** Values for the template's variables, those for all models among them. */
  readonly template_variables: Readonly<Record<string, unknown>>;
  /** What computes its distributions; null: what computes everything else. */
  readonly engine: EngineSettings | null;
}

/** Whether a server computes this model's distributions: its weights need not be here. */
export function isServed({ engine }: { readonly engine?: EngineSettings | null }): boolean {
  return engine !== null && engine !== undefined && isServerKind(engine.kind);
}

export interface RecipeMerge {
  /** `fused` for the first, the folder below `merges/` for the others. */
  readonly name: string;
  readonly method: string;
  readonly variant: "fusechat" | "paper" | "mergekit" | null;
  readonly select_topk: number | null;
  readonly weights: readonly number[] | null;
  /** Further options of the method, by mergekit's names. */
  readonly parameters: Readonly<Record<string, number | boolean | string>>;
  /** null: the pivot's own. */
  readonly dtype: WeightDtype | null;
}

export interface Recipe {
  readonly pivot: RecipeModel;
  readonly sources: readonly RecipeModel[];
  readonly data: {
    readonly path: readonly string[];
    readonly max_length: number;
    readonly date: string;
    readonly irregular: IrregularRule;
    readonly held_out: number;
    readonly held_out_path: readonly string[] | null;
    /** What a plan reckons with as long as the data is not here. */
    readonly size?: Readonly<DataSize>;
    /** The models' own answers to the prompts of `path`, in place of those given there; null: those given there. */
    readonly answers: RecipeAnswers | null;
  };
  readonly distributions: RecipeFile["distributions"];
  readonly align: {
    readonly sequence: string;
    readonly vocabulary: string;
    readonly label_mass: string;
    readonly divide: string;
    readonly within: string;
    readonly unshared: "label" | "pivot" | "skip";
    /** Already filled in: twice `top_k` by default. */
    readonly width: number;
  };
  readonly fuse: Omit<RecipeFile["fuse"], "lora"> & { readonly lora?: LoraSettings };
  readonly merge: readonly RecipeMerge[];
  readonly baselines: readonly Baseline[];
  readonly evaluate: RecipeEvaluation;
  readonly seed: number;
  readonly engine: EngineSettings;
}
