/** `fusechat run`: the whole method, from a recipe to a run directory. The same command continues what was interrupted. */
import { join } from "node:path";
import { createOnnxEngine } from "../engine/onnx/index.ts";
import { exists, readJson } from "../formats/files.ts";
import { RUN_FILES } from "../recipe/layout.ts";
import { loadRecipe } from "../recipe/load.ts";
import type { HeldOutComparison } from "../recipe/results.ts";
import { resultTable } from "../run/result-table.ts";
import { runRecipe } from "../run/run-recipe.ts";
import type { Verb } from "./verb.ts";

export const runVerb: Verb = {
  name: "run",
  summary: "run a recipe: distributions, alignment, targets, merge, evaluation, report",
  long: true,
  declare: (command) => {
    command
      .argument("<recipe>", "recipe file")
      .requiredOption("--out <dir>", "run directory; an unfinished run of the same recipe there is continued")
      .option("--force", "start anew: remove what an earlier run wrote there");
  },
  run: async ({ reporter, signal, print, document }, [file = ""], { out, force }) => {
    const { recipe, text, where } = await loadRecipe(file);
    const summary = await runRecipe(
      recipe,
      { out: String(out), force: force === true, recipeText: text, recipeFile: file, where },
      { reporter, signal, createEngine: createOnnxEngine },
    );
    const results = join(summary.out, RUN_FILES.comparison);
    const comparison = (await exists(results)) ? ((await readJson(results)) as HeldOutComparison) : null;
    if (comparison !== null) print(resultTable(comparison));
    print(`report: ${summary.report}`);
    document({ ...summary, held_out: comparison });
    return undefined;
  },
};
