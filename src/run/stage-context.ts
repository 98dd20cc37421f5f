/** What a run hands to its stages: who computes, who listens, when to stop; and folders for what they write. */
import { dirname } from "node:path";
import type { StageContext } from "../engine/context.ts";
import type { EngineSettings } from "../engine/index.ts";
import { makeFolder } from "../formats/folders.ts";
import type { PerformContext } from "./runner.ts";

/** With the recipe's engine, or the one that a model has of its own. */
export async function stageContext(
  run: PerformContext,
  engine: EngineSettings | null | undefined = null,
): Promise<StageContext> {
  return { engine: await run.engine(engine ?? run.recipe.engine), ...listeners(run) };
}

export function listeners({ reporter, signal }: PerformContext): Omit<StageContext, "engine"> {
  return { reporter, ...(signal === undefined ? {} : { signal }) };
}

export async function makeFolderOf(path: string): Promise<void> {
  await makeFolder(dirname(path));
}
