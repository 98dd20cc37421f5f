/**
 * Opening a run directory: a new one, or one that an earlier run of the same recipe left unfinished. Nothing that this
 * program did not write is ever removed.
 */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { exists, fileError, isTemporary, readText, writeFileAtomic } from "../formats/files.ts";
import { makeFolder } from "../formats/folders.ts";
import { acquireLock, type Lock } from "../formats/lock.ts";
import { RUN_ENTRIES, RUN_FILES } from "../recipe/layout.ts";
import { parseRecipe, recipeDifference } from "../recipe/parse.ts";
import type { Recipe } from "../recipe/recipe.ts";

export interface OpenRun {
  readonly out: string;
  /** True where an earlier run of the same recipe is continued. */
  readonly continues: boolean;
  release(): Promise<void>;
}

/** `recipeText` is the recipe as written, `recipeFile` how messages call it. */
export async function openRunDirectory(
  out: string,
  options: { recipeText: string; recipeFile: string; force: boolean },
): Promise<OpenRun> {
  await refuseForeignFolder(out);
  await makeFolder(out);
  const lock: Lock = await acquireLock(join(out, RUN_FILES.lock), (holder) =>
    inputError(out, `process ${holder} is at work in this run directory; wait for it, or use another --out`),
  );
  try {
    if (options.force) {
      for (const entry of RUN_ENTRIES) await rm(join(out, entry), { recursive: true, force: true });
    }
    await removeTemporaryFiles(out);
    const saved = join(out, RUN_FILES.recipe);
    const continues = await exists(saved);
    if (continues) refuseOtherRecipe(out, await readText(saved), options);
    else await writeFileAtomic(saved, options.recipeText);
    await makeFolder(join(out, RUN_FILES.units));
    return { out, continues, release: () => lock.release() };
  } catch (error) {
    await lock.release();
    throw fileError(out, error);
  }
}

/** `--force` removes what a run has written, so a folder with anything else in it must not look like a run. */
async function refuseForeignFolder(out: string): Promise<void> {
  if (!(await exists(out))) return;
  if (!(await stat(out)).isDirectory()) throw inputError(out, "expected a folder for the run, found a file");
  const entries = await readdir(out);
  const isOurs = (entry: string): boolean => RUN_ENTRIES.includes(entry) || entry.startsWith(RUN_FILES.lock);
  if (entries.length > 0 && !entries.includes(RUN_FILES.recipe) && !entries.every(isOurs)) {
    throw inputError(
      out,
      "expected a run directory or an empty folder, found other files and no recipe.yaml; use another --out",
    );
  }
}

function refuseOtherRecipe(out: string, savedText: string, options: { recipeText: string; recipeFile: string }): void {
  const { recipe: before } = parseRecipe(savedText, join(out, RUN_FILES.recipe));
  const { recipe: now } = parseRecipe(options.recipeText, options.recipeFile);
  const difference = recipeDifference(withoutMeans(before), withoutMeans(now));
  if (difference === null) return;
  const { key, a, b } = difference;
  throw inputError(
    out,
    `this directory holds a run of another recipe: ${key} is ${a} there and ${b} in ${options.recipeFile}; use another --out, or --force to start anew`,
  );
}

/** How a judge is reached and what it may cost is no matter of results: a run goes on with a larger budget. */
function withoutMeans(recipe: Recipe): unknown {
  const { benchmarks, judge, gates } = recipe.evaluate;
  return { ...recipe, evaluate: { benchmarks, judge: { model: judge.model }, gates } };
}

/** What a killed process was writing; nobody else writes here, because the directory is locked. */
async function removeTemporaryFiles(out: string): Promise<void> {
  for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && isTemporary(entry.name)) await rm(join(entry.parentPath, entry.name), { force: true });
  }
}
