/** fusechat as a library: a run, and a merge of what comes out. Arguments: two models, conversations, a folder to write to. */
import type { LoadedRecipe, MergeConfig, MergeSummary, RunSummary } from "fusechat";
import { checkMergeConfig, checkRecipe, mergeModels, runRecipe } from "fusechat";

const [pivot, source, path, out] = process.argv.slice(2);

const recipe: LoadedRecipe = await checkRecipe({
  pivot,
  sources: [source],
  data: { path, max_length: 512 },
  fuse: { epochs: 1, batch: 4 },
  evaluate: [],
});
const run: RunSummary = await runRecipe(recipe, { out: `${out}/run` });

const models = [pivot, `${run.out}/fused`].map((model) => ({ model, parameters: { weight: 0.5 } }));
const halfway: MergeConfig = checkMergeConfig({ merge_method: "linear", models });
const merged: MergeSummary = await mergeModels(halfway, { out: `${out}/halfway` });

console.log(`${run.report}, and ${merged.tensors} tensors in ${merged.out}`);
