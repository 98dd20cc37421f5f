/** What fusechat writes, of every architecture: a run's target, fused model and second merge, and a taller stack of layers. */
import { join } from "node:path";
import { mergeModels } from "#src/merge/merge.js";
import { checkMergeConfig } from "#src/merge/read-config.js";
import { checkRecipe } from "#src/recipe/load.js";
import { runRecipe } from "#src/run/run-recipe.js";
import { GOLDEN_MODELS, goldenFolder, pipeline } from "../engine/onnx/golden.ts";

export interface Output {
  readonly architecture: string;
  readonly kind: "target" | "fused model" | "merge in bfloat16" | "stack of layers";
  readonly folder: string;
}

/** Every model as a pivot; its sources are the two that follow it, so that each is a source twice. */
export async function writeOutputs(folder: string): Promise<Output[]> {
  const outputs: Output[] = [];
  for (const [index, name] of GOLDEN_MODELS.entries()) {
    const sources = [1, 2].map((step) => GOLDEN_MODELS[(index + step) % GOLDEN_MODELS.length]!);
    outputs.push(...(await outputsOf(name, sources, join(folder, name))));
  }
  return outputs;
}

async function outputsOf(architecture: string, sources: readonly string[], folder: string): Promise<Output[]> {
  const recipe = await checkRecipe({
    pivot: goldenFolder(architecture),
    sources: sources.map(goldenFolder),
    data: { path: join(pipeline, "conversations.jsonl"), held_out_path: join(pipeline, "held_out.jsonl") },
    fuse: { lr: 1e-3, epochs: 2, batch: 8 },
    merge: [{ method: "sce" }, { method: "ties", dtype: "bfloat16" }],
    evaluate: [],
  });
  const run = join(folder, "run");
  await runRecipe(recipe, { out: run });
  const target = join(run, "targets", sources[0]!);
  const stacked = join(folder, "stacked");
  const slice = (model: string, ...layers: readonly number[]) => ({ sources: [{ model, layer_range: layers }] });
  const stack = {
    merge_method: "passthrough",
    slices: [slice(goldenFolder(architecture), 0, 2), slice(target, 1, 2), slice(target, 0, 2)],
  };
  await mergeModels(checkMergeConfig(stack, "stack"), { out: stacked });
  return [
    { architecture, kind: "target", folder: target },
    { architecture, kind: "fused model", folder: join(run, "fused") },
    { architecture, kind: "merge in bfloat16", folder: join(run, "merges/ties") },
    { architecture, kind: "stack of layers", folder: stacked },
  ];
}
