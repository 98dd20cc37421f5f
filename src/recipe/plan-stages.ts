/** The stages of a plan, in their order: what each leaves on disk, and what it takes while it works. */

import { basename } from "node:path";
import type { WeightDtype } from "../engine/engine.ts";
import type { Cost, Estimate } from "../engine/estimate.ts";
import type { Estimates } from "../engine/estimates.ts";
import { answeringModels } from "./answers.ts";
import { alignedBytes, distributionsBytes, modelBytes } from "./estimates.ts";
import { benchmarkOf } from "./evaluation.ts";
import {
  baselineFusionsOf,
  baselineMergesOf,
  evaluatedModels,
  fineTuningRunsOf,
  mergedModelOf,
  targetsOf,
} from "./layout.ts";
import type { OpenedModel, RecipeInputs } from "./open-inputs.ts";
import type { PlannedModel } from "./plan-model.ts";
import type { Recipe } from "./recipe.ts";

/** Figures are null where they follow from a model that is unread. */
export interface PlannedStage {
  readonly stage: string;
  readonly disk_bytes: number | null;
  /** Disk that is given back when the stage is done. */
  readonly work_bytes: number | null;
  /** Of each process. */
  readonly memory_bytes: number | null;
  readonly processes: number;
  /** Which memory that is, and how much of it a process has; null where that is not known. */
  readonly memory: string;
  readonly available_memory_bytes: number | null;
  /** Whether it is enough; null where that is not known. */
  readonly fits: boolean | null;
  /** What to change where it does not. */
  readonly advice: string | null;
  /** Null also where the speed of what computes is not known. */
  readonly seconds: number | null;
}

export interface StageFacts {
  readonly inputs: RecipeInputs;
  readonly models: readonly PlannedModel[];
  readonly conversations: number;
  readonly estimates: Estimates;
  /** Of trainings; null where the pivot is unread. */
  readonly costs: { readonly ofTarget: Cost; readonly ofFineTuning: Cost } | null;
  readonly availableMemoryBytes: number;
}

/** Where a stage is worked on. */
type Machine = Pick<Estimate, "processes" | "memory" | "availableBytes">;

/** A model that is read, with its place in the plan. */
interface Known {
  readonly opened: OpenedModel;
  readonly planned: PlannedModel;
}

export function planStages(recipe: Recipe, facts: StageFacts): PlannedStage[] {
  const { estimates } = facts;
  const { top_k } = recipe.distributions;
  const everybodys = estimates(recipe.engine);
  /** What this program does itself. */
  const here: Machine = { processes: 1, memory: "memory", availableBytes: facts.availableMemoryBytes };
  const own = (memoryBytes: number, seconds: number): Cost => ({ memoryBytes, seconds, workBytes: 0, advice: null });
  const known = (name: string): Known | null => {
    const opened = facts.inputs.models.find((model) => model.name === name);
    const planned = facts.models.find((model) => model.name === name);
    return opened === undefined || planned === undefined ? null : { opened, planned };
  };
  /** Passes over a share of the training data. */
  const passes = (estimate: Estimate, { opened, planned }: Known, share: number): Cost => {
    const [tokens, rows] = [planned.train_tokens * share, planned.train_rows * share];
    return estimate.passes(opened, { extents: opened.sample.extents, tokens, rows, topK: top_k });
  };
  const pivot = known(recipe.pivot.name);
  const stages: PlannedStage[] = [];

  if (recipe.data.answers !== null) {
    const answers =
      (facts.inputs.conversations.prompts?.length ?? facts.conversations) * recipe.data.answers.per_prompt;
    const share = answers / Math.max(1, facts.conversations);
    const each = answeringModels(recipe).map(({ name, engine }) => {
      const model = known(name);
      return model && passes(estimates(engine ?? recipe.engine), model, share);
    });
    const cost = oneAfterTheOther(each, GENERATION_FACTOR);
    stages.push(stageOf("answers", each.length * answers * ANSWER_BYTES, everybodys, cost));
  }
  for (const { name, engine } of [recipe.pivot, ...recipe.sources]) {
    const estimate = estimates(engine ?? recipe.engine);
    const model = known(name);
    const disk = model && distributionsBytes(model.planned.train_rows, top_k, model.opened.sizes.vocabularySize);
    stages.push(stageOf(`distributions ${name}`, disk, estimate, model && passes(estimate, model, 1)));
  }
  for (const { name } of recipe.sources) {
    const source = known(name);
    const disk = pivot && alignedBytes(pivot.planned.train_rows, recipe.align.width, pivot.opened.sizes.vocabularySize);
    const cost = pivot && source && own(ALIGN_MEMORY, alignmentSeconds(pivot, source));
    stages.push(stageOf(`align ${name}`, disk, here, cost));
  }
  const trained = pivot && modelBytes(pivot.opened.sizes.parameters, recipe.fuse.dtype);
  const { costs } = facts;
  const targets = targetsOf(recipe);
  for (const { target } of targets) {
    stages.push(stageOf(`fuse ${basename(target.folder)}`, trained, everybodys, costs?.ofTarget ?? null));
  }
  for (const name of fineTuningRunsOf(recipe)) {
    stages.push(stageOf(`fine-tune ${name}`, trained, everybodys, costs?.ofFineTuning ?? null));
  }
  for (const { target } of baselineFusionsOf(recipe)) {
    stages.push(stageOf(`fuse ${target.name}`, trained, everybodys, costs?.ofTarget ?? null));
  }
  const merges = [
    ...recipe.merge.map((merge, index) => ({ merge, models: targets, merged: mergedModelOf(recipe, merge, index) })),
    ...baselineMergesOf(recipe),
  ];
  for (const { merge, models, merged } of merges) {
    const disk = pivot && modelBytes(pivot.opened.sizes.parameters, merge.dtype ?? storedDtype(pivot.opened));
    const cost = trained === null ? null : own(MERGE_MEMORY, ((models.length + 1) * trained) / MERGE_BYTES_PER_SECOND);
    stages.push(stageOf(`merge ${merged.name}`, disk, here, cost));
  }
  for (const [index, evaluation] of recipe.evaluate.benchmarks.entries()) {
    const { prompts } = facts.inputs.evaluations[index]!;
    const generates = benchmarkOf(evaluation.benchmark).reads === "answers";
    const evaluated = evaluatedModels(recipe, evaluation);
    const share = prompts / Math.max(1, facts.conversations);
    const each = evaluated.map(({ role, name, engine }) => {
      const model = role === "source" ? known(name) : pivot;
      return model && passes(engine === undefined ? everybodys : estimates(engine), model, share);
    });
    const disk = evaluated.length * prompts * (generates ? ANSWER_BYTES : RESULT_BYTES);
    const cost = oneAfterTheOther(each, generates ? GENERATION_FACTOR : 1);
    stages.push(stageOf(`evaluate ${evaluation.name}`, disk, everybodys, cost));
  }
  return stages;
}

function stageOf(stage: string, disk: number | null, by: Machine, cost: Cost | null): PlannedStage {
  const { availableBytes } = by;
  const whole = (value: number | null): number | null => (value === null ? null : Math.round(value));
  return {
    stage,
    disk_bytes: whole(disk),
    work_bytes: whole(cost?.workBytes ?? null),
    memory_bytes: whole(cost?.memoryBytes ?? null),
    processes: by.processes,
    memory: by.memory,
    available_memory_bytes: whole(availableBytes),
    fits: cost === null || availableBytes === null ? null : cost.memoryBytes <= availableBytes,
    advice: cost?.advice ?? null,
    seconds: cost?.seconds ?? null,
  };
}

function alignmentSeconds(pivot: Known, source: Known): number {
  return (
    (source.planned.train_rows + pivot.planned.train_rows) * ALIGN_SECONDS_PER_ROW +
    pivot.opened.sizes.vocabularySize * PIVOT_TOKEN_SECONDS +
    source.opened.sizes.vocabularySize * SOURCE_TOKEN_SECONDS
  );
}

/** The costs of a stage that has several models; each takes `factor` as long. Null where one of them is. */
function oneAfterTheOther(costs: readonly (Cost | null)[], factor: number): Cost | null {
  const known = costs.filter((cost) => cost !== null);
  if (known.length < costs.length || known.length === 0) return null;
  const largest = known.reduce((most, cost) => (cost.memoryBytes > most.memoryBytes ? cost : most));
  let seconds: number | null = 0;
  for (const cost of known)
    seconds = seconds === null || cost.seconds === null ? null : seconds + cost.seconds * factor;
  return { ...largest, seconds, workBytes: Math.max(...known.map(({ workBytes }) => workBytes)) };
}

/** A conversation's entry in an evaluation file: its id of 64 digits and five figures. */
const RESULT_BYTES = 200;
/** The same with an answer, which is kept twice, and perhaps a judgment. */
const ANSWER_BYTES = 4000;
/** Writing an answer token by token takes this many times what reading a conversation of the data takes. */
const GENERATION_FACTOR = 10;
/** Counting and transfer of a row, two shards in memory; measured at 2 to 5 microseconds. */
const ALIGN_SECONDS_PER_ROW = 5e-6;
/** Reading a tokenizer's table, and of the pivot the first tokens of texts too: 2.4 s for 262k tokens. */
const PIVOT_TOKEN_SECONDS = 9e-6;
const SOURCE_TOKEN_SECONDS = 3.5e-6;
const ALIGN_MEMORY = 300e6;
/** Chunks of all models, whatever their size: measured at 80 to 135 MB on two threads; SCE reads 500 to 700 MB/s there. */
const MERGE_MEMORY = 135e6;
const MERGE_BYTES_PER_SECOND = 400e6;

function storedDtype({ weights }: OpenedModel): WeightDtype {
  const dtype = [...(weights?.tensors.values() ?? [])][0]?.dtype;
  return dtype === "F16" ? "float16" : dtype === "BF16" ? "bfloat16" : "float32";
}
