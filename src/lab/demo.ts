/**
 * The demonstration: the complete method on the laboratory's models. Its folder holds what goes in and, below `run`,
 * an ordinary run directory:
 *
 *     <out>/fusion.jsonl, held-out.jsonl   conversations of two disjoint draws, with their floors
 *     <out>/recipe.yaml                    what `fusechat run` is given
 *     <out>/run/                           distributions, alignments, target, fused model, controls, report.html
 */
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ALIGNMENT_FILE } from "../align/align.ts";
import type { AlignmentSummary } from "../align/report.ts";
import type { Conversation } from "../data/conversation.ts";
import { writeConversations } from "../data/read.ts";
import type { StageContext } from "../engine/context.ts";
import { inputError } from "../errors.ts";
import type { Comparison } from "../evaluate/benchmarks/benchmark.ts";
import { evaluateHeldOut, heldOut } from "../evaluate/benchmarks/held-out.ts";
import { readWhole } from "../formats/checked-json.ts";
import { exists, writeFileAtomic } from "../formats/files.ts";
import { makeFolder } from "../formats/folders.ts";
import { removeLeftovers } from "../formats/leftovers.ts";
import { refuseForeign } from "../formats/own-folder.ts";
import { alignedFolder, comparisonFile, evaluatedModels, resultFile } from "../recipe/layout.ts";
import type { Recipe } from "../recipe/recipe.ts";
import { alignmentDocument, comparisonDocument } from "../report/run-documents.ts";
import { readBenchmarkResult } from "../run/evaluation-stages.ts";
import { drawConversations } from "./conversations.ts";
import { type Check, checkAlignment, checkFusion, checkModels, type MeasuredModel } from "./demo-checks.ts";
import {
  DEMO_SETTINGS,
  type DemoSettings,
  demoRecipe,
  FUSION_CONVERSATIONS,
  HELD_OUT_CONVERSATIONS,
  MAX_LENGTH,
} from "./demo-recipe.ts";
import { DEMO_MODELS } from "./models/index.ts";

/** The models that come with the package, and the sweep that chose the demonstration's settings. */
export const SHIPPED_MODELS: string = fileURLToPath(new URL("../../lab/models", import.meta.url));
export const SHIPPED_SWEEP: string = fileURLToPath(new URL("../../lab/sweep.json", import.meta.url));

export interface DemoInput {
  readonly recipeFile: string;
  readonly recipeText: string;
  /** The run directory. */
  readonly run: string;
  readonly heldOut: readonly Conversation[];
}

export interface DemoInputOptions {
  readonly out: string;
  /** Folder with the three model folders. */
  readonly models?: string;
  readonly settings?: DemoSettings;
  /** Name of the draw that judges. */
  readonly heldOutDraw?: string;
  readonly fusionConversations?: number;
  readonly heldOutConversations?: number;
}

const FUSION_FILE = "fusion.jsonl";
const DEMO_ENTRIES: readonly string[] = [FUSION_FILE, "held-out.jsonl", "recipe.yaml", "run"];

/** Draws the conversations and writes the recipe. The same call writes the same bytes. */
export async function prepareDemo(options: DemoInputOptions): Promise<DemoInput> {
  const models = resolve(options.models ?? SHIPPED_MODELS);
  for (const { name } of DEMO_MODELS) {
    if (!(await exists(join(models, name, "model.safetensors")))) {
      throw inputError(join(models, name), "no trained model is here; fusechat lab train makes it");
    }
  }
  const out = resolve(options.out);
  await makeFolder(out);
  // The first of them to be written; without it the others are somebody's.
  const isBegun = await exists(join(out, FUSION_FILE));
  await refuseForeign(out, (name) => isBegun && DEMO_ENTRIES.includes(name));
  await removeLeftovers(out);
  const heldOut = drawConversations(
    options.heldOutDraw ?? "held-out",
    options.heldOutConversations ?? HELD_OUT_CONVERSATIONS,
  );
  const fusion = drawConversations("fusion", options.fusionConversations ?? FUSION_CONVERSATIONS);
  // Without the skills' names: groups of conversations that are alike have to be found in the prompts, as in real data.
  const unlabelled = fusion.map(({ skill: _, ...conversation }) => conversation);
  await writeConversations(join(out, FUSION_FILE), unlabelled);
  await writeConversations(join(out, "held-out.jsonl"), heldOut);
  const recipeText = demoRecipe(options.settings ?? DEMO_SETTINGS, {
    models: relative(out, models),
    fusion: "fusion.jsonl",
    heldOut: "held-out.jsonl",
  });
  const recipeFile = join(out, "recipe.yaml");
  await writeFileAtomic(recipeFile, recipeText);
  return { recipeFile, recipeText, run: join(out, "run"), heldOut };
}

/** What goes in, measured before anything is fused: pivot and sources on the held-out conversations. */
export async function measureModels(
  models: string,
  heldOut: readonly Conversation[],
  context: StageContext,
): Promise<MeasuredModel[]> {
  const measured: MeasuredModel[] = [];
  for (const { name, role } of DEMO_MODELS) {
    const { metrics } = await evaluateHeldOut(
      { model: join(models, name), conversations: heldOut, maxLength: MAX_LENGTH, name },
      context,
    );
    measured.push({ name, role, metrics });
  }
  return measured;
}

export interface DemoResults {
  readonly models: readonly MeasuredModel[];
  /** The fused model minus each of the models it has to be better than, or is compared with. */
  readonly comparisons: readonly Comparison[];
  readonly alignments: readonly AlignmentSummary[];
  readonly checks: readonly Check[];
}

/** Reads what a finished run measured, and judges it. */
export async function readDemoResults(run: string, recipe: Recipe): Promise<DemoResults> {
  const models: MeasuredModel[] = [];
  for (const { name, role } of evaluatedModels(recipe, recipe.evaluate.benchmarks[0]!)) {
    const { metrics } = await readBenchmarkResult(join(run, resultFile(heldOut.name, name)), heldOut);
    models.push({ name, role, metrics });
  }
  const alignments: AlignmentSummary[] = [];
  for (const { name } of recipe.sources) {
    const path = join(run, alignedFolder(name), ALIGNMENT_FILE);
    alignments.push((await readWhole(path, alignmentDocument, "an alignment")) as AlignmentSummary);
  }
  const compared = join(run, comparisonFile(heldOut.name));
  const document = (await readWhole(compared, comparisonDocument, "a comparison of a run")) as {
    readonly comparisons: readonly Comparison[];
  };
  const comparisons = document.comparisons.filter(({ model }) => model === "fused");
  const againstPivot = comparisons.find(({ against }) => against === recipe.pivot.name)!;
  return {
    models,
    comparisons,
    alignments,
    checks: [
      ...checkModels(models),
      ...alignments.flatMap(checkAlignment),
      checkFusion(againstPivot.metrics.nats_per_byte!),
    ],
  };
}
