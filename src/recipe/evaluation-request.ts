/** A recipe's evaluation as what its benchmark is asked, for one model of a run. */
import { isAbsolute, join } from "node:path";
import type { BenchmarkRequest } from "../evaluate/benchmarks/benchmark.ts";
import type { JudgeOptions } from "../evaluate/judges/judge.ts";
import { DATA, type RecipeBenchmark, readsHeldOut } from "./evaluation.ts";
import { answersFolder, RUN_FILES, type RunModel } from "./layout.ts";
import type { Recipe } from "./recipe.ts";

/** `run` is the run directory, absolute; where it is not there yet the request serves for estimates alone. */
export function evaluationRequest(
  recipe: Recipe,
  evaluation: RecipeBenchmark,
  model: RunModel,
  run: string,
  judge: JudgeOptions | null,
): BenchmarkRequest {
  const folder = isAbsolute(model.folder) ? model.folder : join(run, model.folder);
  return {
    subject: { kind: "folder", name: model.name, folder, template: model.template },
    settings: {
      ...evaluation.settings,
      ...(readsHeldOut(evaluation) ? { [DATA]: join(run, RUN_FILES.heldOut) } : {}),
    },
    judge,
    out: join(run, answersFolder(evaluation.name, model.name)),
    seed: String(recipe.seed),
  };
}
