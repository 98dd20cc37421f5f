/**
 * What follows from a recipe before anything is computed: steps, tokens, disk, memory and time. Counts of
 * conversations and steps are exact, tokens and rows come from the real tokenisation (of a sample, where there are
 * many conversations), the rest are estimates by the formulas of `estimates.ts`. Nothing is written.
 */

import { type LeftOut, withoutFolders } from "../data/irregular.ts";
import { type Extent, planBatches } from "../engine/onnx/batches.ts";
import { type BatchShape, fullBatch, positionBudget, type TrainingExtent } from "../engine/onnx/memory.ts";
import { availableMemory } from "../engine/onnx/memory-check.ts";
import { checkpointInterval, totalSteps, warmupSteps } from "../fuse/schedule.ts";
import { batches } from "../fuse/shuffle.ts";
import {
  alignedBytes,
  checkpointBytes,
  distributionsBytes,
  isEstimated,
  modelBytes,
  type Throughput,
  teacherMemory,
  tokenFileBytes,
  trainingDataMemory,
  trainingMemory,
} from "./estimates.ts";
import { benchmarkOf } from "./evaluation.ts";
import { evaluatedModels, fineTuningRunsOf, modelsOf } from "./layout.ts";
import type { OpenedModel, RecipeInputs } from "./open-inputs.ts";
import type { PlannedEvaluation } from "./plan-evaluation.ts";
import type { Recipe } from "./recipe.ts";

export interface PlannedModel {
  readonly name: string;
  readonly role: "pivot" | "source";
  readonly architecture: string;
  readonly parameters: number;
  readonly max_length: number;
  /** Conversations that its template refuses, of the training data. */
  readonly refused_conversations: number;
  readonly train_tokens: number;
  readonly train_rows: number;
}

export interface PlannedStage {
  readonly stage: string;
  readonly disk_bytes: number;
  readonly memory_bytes: number;
  /** Whether that much memory is available here, now. */
  readonly fits: boolean;
  readonly seconds: number;
}

export interface Plan {
  readonly recipe: Recipe;
  readonly conversations: {
    readonly train: number;
    readonly held_out: number;
    readonly overlapping: number;
    /** Records that cannot be used, by reason. */
    readonly left_out: readonly LeftOut[];
  };
  /** True where tokens and rows were counted over all conversations, false where a sample was extrapolated. */
  readonly tokens_counted: boolean;
  readonly models: readonly PlannedModel[];
  readonly training: {
    /** Trainings of the pivot: targets, and fine-tuning runs for comparison. */
    readonly targets: number;
    readonly fine_tuning_runs: number;
    readonly conversations: number;
    readonly steps_per_epoch: number;
    readonly steps: number;
    readonly warmup_steps: number;
    /** A checkpoint is taken after these many steps. */
    readonly checkpoints: readonly number[];
    readonly tokens: number;
    /** Tokens of a micro-batch at most, padding included; a longer conversation is alone in one. */
    readonly micro_batch_tokens: number;
    /** Taken while a target is trained, and given back: the newest checkpoint beside the one before it, */
    readonly checkpoint_bytes: number;
    /** and the tokens of all conversations. */
    readonly token_file_bytes: number;
  };
  readonly evaluations: readonly PlannedEvaluation[];
  readonly stages: readonly PlannedStage[];
  readonly available_memory_bytes: number;
  readonly total: { readonly disk_bytes: number; readonly memory_bytes: number; readonly seconds: number };
  /** What the time rests on, for people. */
  readonly throughput: string;
}

export function derivePlan(
  recipe: Recipe,
  inputs: RecipeInputs,
  throughput: Throughput,
  availableMemoryBytes: number = availableMemory(),
): Plan {
  const { train, heldOut, overlapping, leftOut } = inputs.conversations;
  const models = inputs.models.map((opened) => planModel(opened, train.length));
  const pivot = inputs.models[0]!;
  const pivotPlan = models[0]!;
  const trained = train.length - pivotPlan.refused_conversations;
  const { batch, epochs, warmup_ratio } = recipe.fuse;
  const steps = totalSteps(trained, batch, epochs);
  const training: Plan["training"] = {
    targets: recipe.sources.length,
    fine_tuning_runs: fineTuningRunsOf(recipe).length,
    conversations: trained,
    steps_per_epoch: steps / epochs,
    steps,
    warmup_steps: warmupSteps(steps, warmup_ratio),
    checkpoints: checkpointSteps(steps),
    tokens: epochs * pivotPlan.train_tokens,
    micro_batch_tokens: pivot.model === null ? TORCH_TOKENS : positionBudget(pivot.model),
    checkpoint_bytes: checkpointSteps(steps).length === 0 ? 0 : 2 * checkpointBytes(pivotPlan.parameters),
    token_file_bytes: tokenFileBytes(pivotPlan.train_tokens, pivotPlan.train_rows),
  };
  const stages = planStages(recipe, inputs, { models, training, pivot, throughput, availableMemoryBytes });
  return {
    recipe,
    conversations: { train: train.length, held_out: heldOut.length, overlapping, left_out: withoutFolders(leftOut) },
    tokens_counted: pivot.sample.conversations === train.length,
    models,
    training,
    evaluations: inputs.evaluations,
    stages,
    available_memory_bytes: availableMemoryBytes,
    total: {
      disk_bytes: stages.reduce((sum, stage) => sum + stage.disk_bytes, 0),
      memory_bytes: Math.max(...stages.map((stage) => stage.memory_bytes)),
      seconds: stages.reduce((sum, stage) => sum + stage.seconds, 0),
    },
    throughput: isEstimated(recipe)
      ? throughput.basis
      : `${throughput.basis}; of what PyTorch computes they are the embedded engine's`,
  };
}

function planModel({ name, role, facts, maxLength, sample }: OpenedModel, conversations: number): PlannedModel {
  const scale = sample.conversations === 0 ? 0 : conversations / sample.conversations;
  return {
    name,
    role,
    architecture: facts.architecture,
    parameters: facts.parameters,
    max_length: maxLength,
    refused_conversations: Math.round(sample.refused * scale),
    train_tokens: Math.round(sample.tokens * scale),
    train_rows: Math.round(sample.rows * scale),
  };
}

function checkpointSteps(steps: number): number[] {
  const interval = checkpointInterval(steps);
  return Array.from({ length: Math.max(0, Math.ceil(steps / interval) - 1) }, (_, index) => (index + 1) * interval);
}

interface StageFacts {
  readonly models: readonly PlannedModel[];
  readonly training: Plan["training"];
  readonly pivot: OpenedModel;
  readonly throughput: Throughput;
  readonly availableMemoryBytes: number;
}

function planStages(recipe: Recipe, inputs: RecipeInputs, facts: StageFacts): PlannedStage[] {
  const { models, training, pivot, throughput, availableMemoryBytes } = facts;
  const { top_k } = recipe.distributions;
  const teacherBytes = inputs.models.map(({ model, facts, sample }) =>
    model === null ? WEIGHT_BYTES * facts.parameters : teacherMemory(model, longestOf(sample.extents)),
  );
  const stages: PlannedStage[] = [];
  const add = (stage: string, disk: number, memory: number, seconds: number): void => {
    const fits = memory <= availableMemoryBytes;
    stages.push({ stage, disk_bytes: Math.round(disk), memory_bytes: Math.round(memory), fits, seconds });
  };
  for (const [index, { name, train_rows, train_tokens, parameters }] of models.entries()) {
    const disk = distributionsBytes(train_rows, top_k, inputs.models[index]!.facts.vocabulary);
    const seconds = throughput.inferenceSeconds(parameters, train_tokens);
    add(`distributions ${name}`, disk, teacherBytes[index]!, seconds);
  }
  for (const [index, { name, train_rows }] of models.slice(1).entries()) {
    const disk = alignedBytes(models[0]!.train_rows, recipe.align.width, pivot.facts.vocabulary);
    const seconds =
      (train_rows + models[0]!.train_rows) * ALIGN_SECONDS_PER_ROW +
      pivot.facts.vocabulary * PIVOT_TOKEN_SECONDS +
      inputs.models[index + 1]!.facts.vocabulary * SOURCE_TOKEN_SECONDS;
    add(`align ${name}`, disk, ALIGN_MEMORY, seconds);
  }
  const trainings = [
    ...recipe.sources.map(({ name }) => `fuse ${name}`),
    ...fineTuningRunsOf(recipe).map((name) => `fine-tune ${name}`),
  ];
  const memory =
    (pivot.model === null
      ? TRAINED_BYTES * pivot.facts.parameters
      : trainingMemory(pivot.model, trainingExtent(recipe, pivot, training))) +
    trainingDataMemory(inputs.conversations.train);
  for (const stage of trainings) {
    const disk = modelBytes(pivot.facts.parameters, recipe.fuse.dtype);
    add(stage, disk, memory, throughput.trainingSeconds(pivot.facts.parameters, training.tokens));
  }
  const merges = modelsOf(recipe).filter(
    ({ role, name }) => role === "fused" || role === "merge" || name === "sft-merge",
  );
  for (const [index, { name }] of merges.entries()) {
    const disk = modelBytes(pivot.facts.parameters, recipe.merge[index]?.dtype ?? storedDtype(pivot));
    const read = (recipe.sources.length + 1) * modelBytes(pivot.facts.parameters, recipe.fuse.dtype);
    add(`merge ${name}`, disk, MERGE_MEMORY, read / MERGE_BYTES_PER_SECOND);
  }
  for (const [index, evaluation] of recipe.evaluate.benchmarks.entries()) {
    const { prompts } = inputs.evaluations[index]!;
    const evaluated = evaluatedModels(recipe, evaluation);
    const generates = benchmarkOf(evaluation.benchmark).reads === "answers";
    let seconds = 0;
    for (const { role, name } of evaluated) {
      const model = models.find((planned) => role === "source" && planned.name === name) ?? models[0]!;
      const tokens = (model.train_tokens * prompts) / Math.max(1, inputs.conversations.train.length);
      seconds += throughput.inferenceSeconds(model.parameters, tokens) * (generates ? GENERATION_FACTOR : 1);
    }
    const disk = evaluated.length * prompts * (generates ? ANSWER_BYTES : RESULT_BYTES);
    add(`evaluate ${evaluation.name}`, disk, Math.max(...teacherBytes), seconds);
  }
  return stages;
}

/** The micro-batches of the first steps: of the very batches, where the sample is the whole data set. */
function trainingExtent({ fuse, seed }: Recipe, { sample }: OpenedModel, training: Plan["training"]): TrainingExtent {
  const { extents } = sample;
  const batchOf = batches(extents.length, fuse.batch, seed, fuse.shuffle);
  const shapes = new Map<string, BatchShape>();
  let severalBatches = false;
  for (let step = 0; step < Math.min(training.steps, PLANNED_STEPS); step++) {
    const planned = planBatches(
      batchOf(step).map((index) => extents[index]!),
      training.micro_batch_tokens,
    );
    severalBatches ||= planned.length > 1;
    for (const { size, length, rows } of planned)
      shapes.set(`${size}/${length}/${rows}`, { batch: size, length, rows });
  }
  if (shapes.size === 0) return { shapes: [fullBatch(1, 1)], severalBatches };
  return { shapes: [...shapes.values()], severalBatches };
}

function longestOf(extents: readonly Extent[]): number {
  return extents.reduce((longest, { length }) => Math.max(longest, length), 1);
}

/** Of a model that PyTorch alone runs: its weights in float32, in training their gradients and two moments besides. */
const WEIGHT_BYTES = 4;
const TRAINED_BYTES = 16;
const TORCH_TOKENS = 8192;

/** Enough to meet nearly all shapes; planning a step takes a millisecond. */
const PLANNED_STEPS = 200;

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

function storedDtype(pivot: OpenedModel): "float32" | "float16" | "bfloat16" {
  const dtype = [...pivot.weights.tensors.values()][0]?.dtype;
  return dtype === "F16" ? "float16" : dtype === "BF16" ? "bfloat16" : "float32";
}
