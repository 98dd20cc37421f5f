/** The models of a run directory, from the plan that it was begun with: there all paths are absolute. */

import { isAbsolute, join } from "node:path";
import { z } from "zod";
import { DEFAULT_DATE } from "../data/template-settings.ts";
import { inputError } from "../errors.ts";
import { readChecked } from "../formats/checked-json.ts";
import { exists } from "../formats/files.ts";
import { modelsOf, RUN_FILES, type RunModel } from "../recipe/layout.ts";
import type { Recipe } from "../recipe/recipe.ts";

const model = z.object({
  name: z.string().min(1),
  model: z.string().min(1),
  template_name: z.string().nullable().default(null),
  template_variables: z.record(z.string(), z.unknown()).default({}),
});

/** Of the recipe what names models and their folders. */
const planDocument = z.object({
  recipe: z.object({
    pivot: model,
    sources: z.array(model),
    data: z.object({ date: z.string().default(DEFAULT_DATE) }),
    merge: z.array(z.object({ name: z.string() })),
    fuse: z.object({ sources: z.string().default("pairwise") }).default({ sources: "pairwise" }),
    baselines: z.array(z.string()),
  }),
});

/** Folders are absolute. Models that the run makes and has not made yet are left out. */
export async function readRunModels(run: string): Promise<RunModel[]> {
  const path = join(run, RUN_FILES.plan);
  if (!(await exists(path))) throw inputError(run, `expected a run directory, found no ${RUN_FILES.plan} in it`);
  const { recipe } = await readChecked(path, planDocument, "the plan of a run");
  const found: RunModel[] = [];
  for (const one of modelsOf(recipe as unknown as Recipe)) {
    const isMade = !isAbsolute(one.folder);
    const folder = isMade ? join(run, one.folder) : one.folder;
    if (!isMade || (await exists(join(folder, "config.json")))) found.push({ ...one, folder });
  }
  return found;
}
