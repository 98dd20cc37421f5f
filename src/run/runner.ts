/**
 * A whole run: the units of a recipe, one after the other, in a directory that remembers which are finished. Killed at
 * any moment and started again it ends with the same bytes as an uninterrupted run, in every file but `timing.jsonl`,
 * `plan.json` and the report's times: a unit starts from nothing or from what its own stage can continue.
 */

import { join, resolve } from "node:path";
import type { Engine } from "../engine/engine.ts";
import type { EngineSettings } from "../engine/index.ts";
import type { KeyFor } from "../engine/server/settings.ts";
import { internalError, throwIfInterrupted } from "../errors.ts";
import type { GateOutcome } from "../evaluate/gates/judge.ts";
import type { JudgeOptions } from "../evaluate/judges/judge.ts";
import { readChecked } from "../formats/checked-json.ts";
import { exists, writeFileAtomic, writeJson } from "../formats/files.ts";
import { openGrowing } from "../formats/growing-file.ts";
import type { Outlines } from "../formats/weights.ts";
import type { KeyPath } from "../formats/yaml.ts";
import { type GatesDocument, gatesFile } from "../recipe/gates.ts";
import { type JudgeAccess, judgeOptionsOf, NO_ACCESS, needsJudge } from "../recipe/judge.ts";
import { RUN_FILES } from "../recipe/layout.ts";
import { pathText } from "../recipe/problems.ts";
import type { Recipe } from "../recipe/recipe.ts";
import type { Reporter } from "../reporter.ts";
import { computedOtherwise, otherProgram } from "../version.ts";
import { checkInputIdentity, checkWeights, identifyInputs } from "./input-identity.ts";
import { discardUnit, readManifest, resultKind, stateOf, writeManifest } from "./manifest.ts";
import { openRunDirectory } from "./run-directory.ts";
import { openSeenFiles, type SeenFiles } from "./seen-files.ts";
import { type Unit, unitsOf } from "./units.ts";

export interface RunOptions {
  /** The run directory. */
  readonly out: string;
  /** Start anew: what an earlier run wrote there is removed. */
  readonly force?: boolean;
  /** Hashes all that is there already, not only what has another size or time of change than it had. */
  readonly verify?: boolean;
  /** The recipe as written; it is kept with the run. */
  readonly recipeText: string;
  /** How messages call the recipe; `recipe.yaml` by default. */
  readonly recipeFile?: string;
  /** Places a key of the recipe in its file, for messages. */
  readonly where?: (path: KeyPath) => string;
  /** Who judges where the recipe does not say it, and with which key. */
  readonly judge?: JudgeAccess;
  /** Models of the recipe that are to come: known by their headers, brought once the recipe is known to be right. */
  readonly toCome?: { readonly outlines: Outlines; bring(): Promise<void> };
}

export interface RunContext {
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
  /** Called once for each engine of the recipe, when the first unit needs it; the run disposes of them. */
  createEngine(settings: EngineSettings): Promise<Engine>;
  /** Keys of servers; none by default. */
  readonly keyFor?: KeyFor;
}

export interface RunSummary {
  readonly out: string;
  /** Path of `report.html`. */
  readonly report: string;
  /** Units of the recipe, in order; `skipped` ones were finished by an earlier run. */
  readonly units: readonly { readonly unit: string; readonly skipped: boolean; readonly seconds: number }[];
  /** What the recipe demands, and whether it holds; empty where it demands nothing. */
  readonly gates: readonly GateOutcome[];
}

/** What a run needs done; `stages.ts` brings the real stages, tests bring fakes. */
export interface RunStages {
  /** Checks every input of the recipe, and derives the plan that is kept with the run. */
  plan(
    recipe: Recipe,
    judge: JudgeOptions | null,
    where?: (path: KeyPath) => string,
    outlines?: Outlines,
  ): Promise<unknown>;
  perform(unit: Unit, run: PerformContext): Promise<void>;
  renderReport(run: string): Promise<string>;
}

export interface PerformContext {
  readonly recipe: Recipe;
  /** The run directory, absolute. */
  readonly out: string;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
  /** The recipe's engine, or the one that a model has of its own. */
  engine(settings?: EngineSettings): Promise<Engine>;
  /** Keys of servers that answer. */
  readonly keyFor: KeyFor;
  /** Who judges; only where a benchmark of the recipe needs one. */
  judge(): JudgeOptions;
}

/** Runs or continues a recipe whose paths are found (`loadRecipe`), each unit through `stages`. */
export async function runUnits(
  recipe: Recipe,
  options: RunOptions,
  context: RunContext,
  stages: RunStages,
): Promise<RunSummary> {
  const judge = judgeOf(recipe, options);
  const plan = await stages.plan(recipe, judge, options.where, options.toCome?.outlines);
  await options.toCome?.bring();
  const identity = await identifyInputs(recipe, judge);
  const run = await openRunDirectory(resolve(options.out), {
    recipeText: options.recipeText,
    recipeFile: options.recipeFile ?? RUN_FILES.recipe,
    force: options.force === true,
  });
  const engines = new Map<string, Promise<Engine>>();
  const grows = run.added.length > 0;
  try {
    await checkInputIdentity(run.out, identity, grows);
    if (options.verify === true) await checkWeights(run.out, recipe);
    if (grows || !(await exists(join(run.out, RUN_FILES.plan)))) await writeJson(join(run.out, RUN_FILES.plan), plan);
    await run.keepRecipe();
    if (grows) tell(context.reporter, `the recipe has grown: ${run.added.join(", ")}`);
    const performContext: PerformContext = {
      recipe,
      out: run.out,
      reporter: context.reporter,
      ...(context.signal === undefined ? {} : { signal: context.signal }),
      engine: (settings = recipe.engine) => {
        const key = JSON.stringify(settings);
        const engine = engines.get(key) ?? context.createEngine(settings);
        engines.set(key, engine);
        return engine;
      },
      keyFor: context.keyFor ?? (() => undefined),
      judge: () => {
        if (judge === null) throw internalError("a benchmark asks for a judge, and says that it needs none");
        return judge;
      },
    };
    const units = await performAll(unitsOf(recipe), performContext, stages, options.verify === true);
    const report = join(run.out, RUN_FILES.report);
    await writeFileAtomic(report, await stages.renderReport(run.out));
    const gates = recipe.evaluate.gates.length === 0 ? [] : (await readGates(run.out)).gates;
    return { out: run.out, report, units, gates };
  } finally {
    for (const engine of engines.values()) await (await engine.catch(() => undefined))?.dispose();
    await run.release();
  }
}

/** The judge, found before anything is computed; null where the recipe needs none. */
function judgeOf(recipe: Recipe, { judge, where = pathText }: RunOptions): JudgeOptions | null {
  if (!needsJudge(recipe)) return null;
  return judgeOptionsOf(recipe.evaluate.judge, judge ?? NO_ACCESS, where(["evaluate"]));
}

async function performAll(
  units: readonly Unit[],
  context: PerformContext,
  stages: RunStages,
  verify: boolean,
): Promise<RunSummary["units"]> {
  await tellOtherPrograms(units, context);
  const seen = await openSeenFiles(context.out);
  try {
    return await performMissing(units, context, stages, { seen, verify });
  } finally {
    await seen.close();
  }
}

async function performMissing(
  units: readonly Unit[],
  context: PerformContext,
  stages: RunStages,
  looking: { readonly seen: SeenFiles; readonly verify: boolean },
): Promise<RunSummary["units"]> {
  const { out, reporter } = context;
  const done: { unit: string; skipped: boolean; seconds: number }[] = [];
  const remade = new Set<string>();
  for (const unit of units) {
    throwIfInterrupted(context.signal, out);
    const { state, problem } = await stateOf(out, unit, looking);
    if (looking.verify) {
      reporter.report({ type: "progress", stage: "verify", done: done.length + 1, total: units.length, unit: "units" });
    }
    if (state === "finished") {
      done.push({ unit: unit.id, skipped: true, seconds: 0 });
      continue;
    }
    if (problem !== undefined) {
      reporter.report({ type: "warning", stage: "run", message: `${unit.id} is done again: ${problem}` });
    }
    const skipped = done.filter((entry) => entry.skipped).length;
    if (skipped > 0 && skipped === done.length) {
      tell(reporter, `${skipped} of ${units.length} units are done; going on with ${unit.id}`);
    }
    // What a later unit had begun belongs to the inputs of then.
    if (state === "changed" || unit.after.some((input) => remade.has(input))) {
      await discardUnit(out, unit);
      remade.add(unit.id);
    }
    const startedAt = performance.now();
    await stages.perform(unit, context);
    await writeManifest(out, unit, looking.seen);
    const seconds = (performance.now() - startedAt) / 1000;
    await appendTiming(out, unit.id, seconds);
    done.push({ unit: unit.id, skipped: false, seconds });
  }
  return done;
}

/** Says which finished units another program computed, where this one would compute them otherwise. */
async function tellOtherPrograms(units: readonly Unit[], { out, reporter }: PerformContext): Promise<void> {
  const found = new Map<string, string[]>();
  for (const unit of units) {
    const manifest = await readManifest(out, unit.id);
    const other = manifest === null ? null : otherProgram(manifest.program, resultKind(unit));
    if (other !== null) found.set(other, [...(found.get(other) ?? []), unit.id]);
  }
  for (const [other, ids] of found) {
    const message = `${computedOtherwise(`${ids.join(", ")} ${ids.length === 1 ? "was" : "were"} computed`, other)}; what is there is kept, --force starts anew`;
    reporter.report({ type: "warning", stage: "run", message });
  }
}

function tell(reporter: Reporter, summary: string): void {
  reporter.report({ type: "end", stage: "run", summary });
}

async function readGates(out: string): Promise<GatesDocument> {
  return readChecked(join(out, RUN_FILES.gates), gatesFile, "the gates of a run");
}

async function appendTiming(out: string, unit: string, seconds: number): Promise<void> {
  const file = await openGrowing(join(out, RUN_FILES.timing));
  try {
    await file.append(`${JSON.stringify({ unit, seconds: Math.round(seconds * 1000) / 1000 })}\n`);
  } finally {
    await file.close();
  }
}
