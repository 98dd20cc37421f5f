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
import { parseRecipe } from "../recipe/parse.ts";
import { changeOf } from "./growth.ts";

export interface OpenRun {
  readonly out: string;
  /** What the recipe has and that of the run so far has not: `source qwen2`. */
  readonly added: readonly string[];
  /** Keeps the recipe as it is now with the run, once its inputs are checked. */
  keepRecipe(): Promise<void>;
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
    // First of all: by this folder a run directory is known.
    await makeFolder(join(out, RUN_FILES.units));
    const saved = join(out, RUN_FILES.recipe);
    const isNew = !(await exists(saved));
    const added = isNew ? [] : addedTo(out, await readText(saved), options);
    return {
      out,
      added,
      keepRecipe: async () => {
        if (isNew || added.length > 0) await writeFileAtomic(saved, options.recipeText);
      },
      release: () => lock.release(),
    };
  } catch (error) {
    await lock.release();
    throw fileError(out, error);
  }
}

/**
 * `--force` removes what a run has written, so a folder with anything else in it must not look like a run: a recipe and
 * a folder named `data` are not enough.
 */
async function refuseForeignFolder(out: string): Promise<void> {
  if (!(await exists(out))) return;
  if (!(await stat(out)).isDirectory()) throw inputError(out, "expected a folder for the run, found a file");
  const entries = await readdir(out);
  const isRun = entries.includes(RUN_FILES.units) || entries.every((entry) => entry.startsWith(RUN_FILES.lock));
  if (isRun) return;
  const found = entries.includes(RUN_FILES.recipe) ? "other files" : "other files and no recipe.yaml";
  throw inputError(out, `expected a run directory or an empty folder, found ${found}; use another --out`);
}

/** What a recipe adds to that of the run; throws where it changes anything else. */
function addedTo(
  out: string,
  savedText: string,
  options: { recipeText: string; recipeFile: string },
): readonly string[] {
  const { recipe: before } = parseRecipe(savedText, join(out, RUN_FILES.recipe));
  const { recipe: now } = parseRecipe(options.recipeText, options.recipeFile);
  const { added, difference } = changeOf(before, now);
  if (difference === null) return added;
  const { key, a, b } = difference;
  throw inputError(
    out,
    `this directory holds a run of another recipe: ${key} is ${a} there and ${b} in ${options.recipeFile}; use another --out, or --force to start anew`,
  );
}

/** What a killed process was writing; nobody else writes here, because the directory is locked. */
async function removeTemporaryFiles(out: string): Promise<void> {
  for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && isTemporary(entry.name)) await rm(join(entry.parentPath, entry.name), { force: true });
  }
}
