/**
 * What follows from a recipe before anything is computed: steps, tokens, disk, memory and time. Counts of
 * conversations and steps are exact, tokens and rows come from the real tokenisation (of a sample, where there are
 * many conversations), the rest are estimates by the formulas of `estimates.ts`. Nothing is written.
 */

import { type LeftOut, withoutFolders } from "../data/irregular.ts";
import type { TrainingCost } from "../engine/estimate.ts";
import { estimatesFor, type MachineFacts } from "../engine/estimates.ts";
import type { EngineSettings } from "../engine/index.ts";
import type { Extent } from "../engine/onnx/batches.ts";
import { availableMemory } from "../engine/onnx/memory-check.ts";
import { fusionFunction } from "../fuse/functions/index.ts";
import { checkpointInterval, totalSteps, warmupSteps } from "../fuse/schedule.ts";
import { batches } from "../fuse/shuffle.ts";
import { targetDistributionWidth } from "../fuse/target-distributions.ts";
import { expectedDataMemory, trainingDataMemory } from "./estimates.ts";
import { baselineFusionsOf, fineTuningRunsOf, targetsOf } from "./layout.ts";
import type { UnreadModel } from "./locate.ts";
import type { OpenedModel, RecipeInputs } from "./open-inputs.ts";
import type { PlannedEvaluation } from "./plan-evaluation.ts";
import { type PlannedModel, planModel } from "./plan-model.ts";
import { type PlannedStage, planStages } from "./plan-stages.ts";
import type { Recipe } from "./recipe.ts";

export interface Plan {
  readonly recipe: Recipe;
  readonly conversations: {
    /** Where models answer: at most, and each as long as the answer that is given, or as a quarter of the longest. */
    readonly train: number;
    /** Questions that the recipe's models answer; null where answers are given. */
    readonly prompts: number | null;
    readonly held_out: number;
    readonly overlapping: number;
    /** Records that cannot be used, by reason. */
    readonly left_out: readonly LeftOut[];
  };
  /** True where the data is not here, and its `size` in the recipe stands for it. */
  readonly expected: boolean;
  /** True where tokens and rows were counted over all conversations, false where a sample was extrapolated. */
  readonly tokens_counted: boolean;
  readonly models: readonly PlannedModel[];
  /** Models of the Hub of which nothing could be read. */
  readonly unread: readonly UnreadModel[];
  readonly training: {
    /** Trainings of the pivot: targets, that of all sources for comparison among them, and fine-tuning runs. */
    readonly targets: number;
    readonly fine_tuning_runs: number;
    readonly conversations: number;
    readonly steps_per_epoch: number;
    readonly steps: number;
    readonly warmup_steps: number;
    /** A checkpoint is taken after these many steps. */
    readonly checkpoints: readonly number[];
    /** What follows is null where the pivot is unread. */
    readonly tokens: number | null;
    /** Tokens of a micro-batch of one process at most, padding included; a longer conversation is alone in one. */
    readonly micro_batch_tokens: number | null;
    /** Taken while a target is trained, and given back: the newest checkpoint beside the one before it, */
    readonly checkpoint_bytes: number | null;
    /** and what all conversations teach; for an engine of other processes twice. */
    readonly lesson_file_bytes: number | null;
  };
  readonly evaluations: readonly PlannedEvaluation[];
  readonly stages: readonly PlannedStage[];
  readonly available_memory_bytes: number;
  readonly total: {
    readonly disk_bytes: number;
    /** The most that any stage gives back, on top. */
    readonly work_bytes: number;
    readonly memory_bytes: number;
    readonly seconds: number;
    /** Of which of these the figure of a stage is missing. */
    readonly partial: readonly ("disk_bytes" | "memory_bytes" | "seconds")[];
  };
  /** What the time rests on, for people. */
  readonly throughput: string;
}

export function derivePlan(recipe: Recipe, inputs: RecipeInputs, machine: MachineFacts = {}): Plan {
  const availableMemoryBytes = machine.availableBytes ?? availableMemory();
  const estimates = estimatesFor({ ...machine, availableBytes: availableMemoryBytes });
  const { overlapping, leftOut } = inputs.conversations;
  const { train, heldOut } = countsOf(inputs);
  const models = inputs.models.map((opened) => planModel(opened, train));
  const pivot = inputs.models.find(({ role }) => role === "pivot");
  const pivotPlan = models.find(({ role }) => role === "pivot");
  const trained = train - (pivotPlan?.refused_conversations ?? 0);
  const { batch, epochs, warmup_ratio } = recipe.fuse;
  const steps = totalSteps(trained, batch, epochs);
  const estimate = estimates(recipe.engine);
  const cost = (opened: OpenedModel, { train_tokens, train_rows }: PlannedModel, width: number): TrainingCost =>
    estimate.training(opened, {
      steps,
      epochs,
      tokens: train_tokens,
      rows: train_rows,
      batches: () => firstBatches(recipe, opened, steps),
      dataBytes:
        inputs.expected === null
          ? trainingDataMemory(inputs.conversations.train)
          : expectedDataMemory(train, train_tokens),
      width,
      checkpoints: checkpointSteps(steps).length,
      lora: recipe.fuse.lora ?? null,
    });
  const fusions = [...targetsOf(recipe), ...baselineFusionsOf(recipe)];
  const width = Math.max(...fusions.map(({ sources }) => targetWidth(recipe, sources.length)));
  const costs =
    pivot === undefined || pivotPlan === undefined
      ? null
      : { ofTarget: cost(pivot, pivotPlan, width), ofFineTuning: cost(pivot, pivotPlan, 0) };
  const stages = planStages(recipe, { inputs, models, conversations: train, estimates, costs, availableMemoryBytes });
  const sumOf = (key: "disk_bytes" | "seconds"): number => stages.reduce((sum, stage) => sum + (stage[key] ?? 0), 0);
  const mostOf = (key: "work_bytes" | "memory_bytes"): number => Math.max(...stages.map((stage) => stage[key] ?? 0));
  const ofTarget = costs?.ofTarget;
  return {
    recipe,
    conversations: {
      train,
      prompts: inputs.conversations.prompts?.length ?? null,
      held_out: heldOut,
      overlapping,
      left_out: withoutFolders(leftOut),
    },
    expected: inputs.expected !== null,
    tokens_counted: pivot !== undefined && pivot.sample.conversations === train,
    models,
    unread: inputs.unread,
    training: {
      targets: fusions.length,
      fine_tuning_runs: fineTuningRunsOf(recipe).length,
      conversations: trained,
      steps_per_epoch: steps / epochs,
      steps,
      warmup_steps: warmupSteps(steps, warmup_ratio),
      checkpoints: checkpointSteps(steps),
      tokens: pivotPlan === undefined ? null : epochs * pivotPlan.train_tokens,
      micro_batch_tokens: ofTarget?.microBatchTokens ?? null,
      checkpoint_bytes: ofTarget?.checkpointBytes ?? null,
      lesson_file_bytes: ofTarget === undefined ? null : ofTarget.workBytes - ofTarget.checkpointBytes,
    },
    evaluations: inputs.evaluations,
    stages,
    available_memory_bytes: availableMemoryBytes,
    total: {
      disk_bytes: sumOf("disk_bytes"),
      work_bytes: mostOf("work_bytes"),
      memory_bytes: mostOf("memory_bytes"),
      seconds: sumOf("seconds"),
      partial: (["disk_bytes", "memory_bytes", "seconds"] as const).filter((key) =>
        stages.some((stage) => stage[key] === null),
      ),
    },
    throughput: [...new Set(enginesOf(recipe).map((engine) => estimates(engine).basis))].join("; "),
  };
}

function countsOf({ conversations, expected }: RecipeInputs): { readonly train: number; readonly heldOut: number } {
  return expected ?? { train: conversations.train.length, heldOut: conversations.heldOut.length };
}

/** Of everything, then of the models that have one of their own. */
export function enginesOf({ engine, pivot, sources }: Recipe): readonly EngineSettings[] {
  const own = [pivot, ...sources].flatMap((model) => model.engine ?? []);
  // Where every model has its own, trainings still are everybody's.
  return [engine, ...own];
}

/** Places of a row's target: those of one model, or of all of them where they are blended. */
function targetWidth({ fuse, align, distributions }: Recipe, sources: number): number {
  const widths = { pivotWidth: distributions.top_k, alignedWidths: Array<number>(sources).fill(align.width) };
  return targetDistributionWidth(widths, { function: fusionFunction(fuse.function), tail: fuse.tail });
}

function checkpointSteps(steps: number): number[] {
  const interval = checkpointInterval(steps);
  return Array.from({ length: Math.max(0, Math.ceil(steps / interval) - 1) }, (_, index) => (index + 1) * interval);
}

/** The conversations of the first steps: the very batches, where the sample is the whole data set. */
function* firstBatches(
  { fuse, seed }: Recipe,
  { sample }: OpenedModel,
  steps: number,
): Generator<readonly Extent[], void, void> {
  const { extents } = sample;
  const batchOf = batches(extents.length, fuse.batch, seed, fuse.shuffle);
  for (let step = 0; step < Math.min(steps, PLANNED_STEPS); step++) {
    yield batchOf(step).map((index) => extents[index]!);
  }
}

/** Enough to meet nearly all shapes; planning a step takes a millisecond. */
const PLANNED_STEPS = 200;
