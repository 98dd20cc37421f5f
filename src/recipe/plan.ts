/**
 * What follows from a recipe before anything is computed: steps, tokens, disk, memory and time. Counts of
 * conversations and steps are exact, tokens and rows come from the real tokenisation (of a sample, where there are
 * many conversations), the rest are estimates by the formulas of `estimates.ts`. Nothing is written.
 */

import { type LeftOut, withoutFolders } from "../data/irregular.ts";
import type { Cost, Estimate } from "../engine/estimate.ts";
import { type Estimates, estimatesFor, type MachineFacts } from "../engine/estimates.ts";
import type { EngineSettings } from "../engine/index.ts";
import type { Extent } from "../engine/onnx/batches.ts";
import { availableMemory } from "../engine/onnx/memory-check.ts";
import { requestsOf } from "../engine/server/rows.ts";
import { checkpointInterval, totalSteps, warmupSteps } from "../fuse/schedule.ts";
import { batches } from "../fuse/shuffle.ts";
import { alignedBytes, distributionsBytes, modelBytes, trainingDataMemory } from "./estimates.ts";
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
  /** What the server is asked that has it; null where it is computed here. */
  readonly server: { readonly kind: string; readonly url: string; readonly requests: number } | null;
}

export interface PlannedStage {
  readonly stage: string;
  readonly disk_bytes: number;
  /** Disk that is given back when the stage is done. */
  readonly work_bytes: number;
  /** Of each process. */
  readonly memory_bytes: number;
  readonly processes: number;
  /** Which memory that is, and how much of it a process has; null where that is not known. */
  readonly memory: string;
  readonly available_memory_bytes: number | null;
  /** Whether it is enough; null where that is not known. */
  readonly fits: boolean | null;
  /** What to change where it does not. */
  readonly advice: string | null;
  /** Null where the speed of what computes is not known. */
  readonly seconds: number | null;
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
    /** Tokens of a micro-batch of one process at most, padding included; a longer conversation is alone in one. */
    readonly micro_batch_tokens: number;
    /** Taken while a target is trained, and given back: the newest checkpoint beside the one before it, */
    readonly checkpoint_bytes: number;
    /** and the tokens of all conversations, for an engine of other processes their targets too. */
    readonly token_file_bytes: number;
  };
  readonly evaluations: readonly PlannedEvaluation[];
  readonly stages: readonly PlannedStage[];
  readonly available_memory_bytes: number;
  readonly total: {
    readonly disk_bytes: number;
    /** The most that any stage gives back, on top. */
    readonly work_bytes: number;
    readonly memory_bytes: number;
    /** Null where that of a stage is. */
    readonly seconds: number | null;
  };
  /** What the time rests on, for people. */
  readonly throughput: string;
}

export function derivePlan(recipe: Recipe, inputs: RecipeInputs, machine: MachineFacts = {}): Plan {
  const availableMemoryBytes = machine.availableBytes ?? availableMemory();
  const estimates = estimatesFor({ ...machine, availableBytes: availableMemoryBytes });
  const { train, heldOut, overlapping, leftOut } = inputs.conversations;
  const models = inputs.models.map((opened) => planModel(opened, train.length));
  const pivot = inputs.models[0]!;
  const pivotPlan = models[0]!;
  const trained = train.length - pivotPlan.refused_conversations;
  const { batch, epochs, warmup_ratio } = recipe.fuse;
  const steps = totalSteps(trained, batch, epochs);
  const estimate = estimates(recipe.engine);
  const cost = (width: number) =>
    estimate.training(pivot, {
      steps,
      epochs,
      tokens: pivotPlan.train_tokens,
      rows: pivotPlan.train_rows,
      batches: () => firstBatches(recipe, pivot, steps),
      dataBytes: trainingDataMemory(train),
      width,
      checkpoints: checkpointSteps(steps).length,
      lora: recipe.fuse.lora ?? null,
    });
  const ofTarget = cost(Math.max(recipe.align.width, recipe.distributions.top_k));
  const training: Plan["training"] = {
    targets: recipe.sources.length,
    fine_tuning_runs: fineTuningRunsOf(recipe).length,
    conversations: trained,
    steps_per_epoch: steps / epochs,
    steps,
    warmup_steps: warmupSteps(steps, warmup_ratio),
    checkpoints: checkpointSteps(steps),
    tokens: epochs * pivotPlan.train_tokens,
    micro_batch_tokens: ofTarget.microBatchTokens,
    checkpoint_bytes: ofTarget.checkpointBytes,
    token_file_bytes: ofTarget.workBytes - ofTarget.checkpointBytes,
  };
  const costs = { ofTarget, ofFineTuning: cost(0) };
  const stages = planStages(recipe, inputs, { models, pivot, estimates, costs, availableMemoryBytes });
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
      work_bytes: Math.max(...stages.map((stage) => stage.work_bytes)),
      memory_bytes: Math.max(...stages.map((stage) => stage.memory_bytes)),
      seconds: stages.reduce<number | null>(
        (sum, { seconds }) => (sum === null || seconds === null ? null : sum + seconds),
        0,
      ),
    },
    throughput: [...new Set(enginesOf(recipe).map((engine) => estimates(engine).basis))].join("; "),
  };
}

/** Of everything, then of the models that have one of their own. */
export function enginesOf({ engine, pivot, sources }: Recipe): readonly EngineSettings[] {
  const own = [pivot, ...sources].flatMap((model) => model.engine ?? []);
  // Where every model has its own, trainings still are everybody's.
  return [engine, ...own];
}

function planModel({ name, role, facts, server, maxLength, sample }: OpenedModel, conversations: number): PlannedModel {
  const scale = sample.conversations === 0 ? 0 : conversations / sample.conversations;
  const lengths = sample.extents.map(({ length }) => length);
  return {
    name,
    role,
    architecture: facts.architecture,
    parameters: facts.parameters,
    max_length: maxLength,
    refused_conversations: Math.round(sample.refused * scale),
    train_tokens: Math.round(sample.tokens * scale),
    train_rows: Math.round(sample.rows * scale),
    server: server === null ? null : { ...server, requests: Math.ceil(requestsOf(lengths) * scale) },
  };
}

function checkpointSteps(steps: number): number[] {
  const interval = checkpointInterval(steps);
  return Array.from({ length: Math.max(0, Math.ceil(steps / interval) - 1) }, (_, index) => (index + 1) * interval);
}

interface StageFacts {
  readonly models: readonly PlannedModel[];
  readonly pivot: OpenedModel;
  readonly estimates: Estimates;
  readonly costs: { readonly ofTarget: Cost; readonly ofFineTuning: Cost };
  readonly availableMemoryBytes: number;
}

function planStages(recipe: Recipe, inputs: RecipeInputs, facts: StageFacts): PlannedStage[] {
  const { models, pivot, estimates, costs, availableMemoryBytes } = facts;
  const { top_k } = recipe.distributions;
  const everybodys = estimates(recipe.engine);
  const stages: PlannedStage[] = [];
  const add = (stage: string, disk: number, by: Machine, cost: Cost): void => {
    stages.push({
      stage,
      disk_bytes: Math.round(disk),
      work_bytes: Math.round(cost.workBytes),
      memory_bytes: Math.round(cost.memoryBytes),
      processes: by.processes,
      memory: by.memory,
      available_memory_bytes: by.availableBytes === null ? null : Math.round(by.availableBytes),
      fits: by.availableBytes === null ? null : cost.memoryBytes <= by.availableBytes,
      advice: cost.advice,
      seconds: cost.seconds,
    });
  };
  /** What this program does itself. */
  const here: Machine = { processes: 1, memory: "memory", availableBytes: availableMemoryBytes };
  const own = (memoryBytes: number, seconds: number): Cost => ({ memoryBytes, seconds, workBytes: 0, advice: null });
  const passes = (estimate: Estimate, opened: OpenedModel, tokens: number, rows: number): Cost =>
    estimate.passes(opened, { extents: opened.sample.extents, tokens, rows, topK: top_k });

  const references = [recipe.pivot, ...recipe.sources];
  for (const [index, { name, train_rows, train_tokens }] of models.entries()) {
    const opened = inputs.models[index]!;
    const estimate = estimates(references[index]!.engine ?? recipe.engine);
    const disk = distributionsBytes(train_rows, top_k, opened.sizes.vocabularySize);
    add(`distributions ${name}`, disk, estimate, passes(estimate, opened, train_tokens, train_rows));
  }
  for (const [index, { name, train_rows }] of models.slice(1).entries()) {
    const disk = alignedBytes(models[0]!.train_rows, recipe.align.width, pivot.sizes.vocabularySize);
    const seconds =
      (train_rows + models[0]!.train_rows) * ALIGN_SECONDS_PER_ROW +
      pivot.sizes.vocabularySize * PIVOT_TOKEN_SECONDS +
      inputs.models[index + 1]!.sizes.vocabularySize * SOURCE_TOKEN_SECONDS;
    add(`align ${name}`, disk, here, own(ALIGN_MEMORY, seconds));
  }
  const trained = modelBytes(pivot.sizes.parameters, recipe.fuse.dtype);
  for (const { name } of recipe.sources) add(`fuse ${name}`, trained, everybodys, costs.ofTarget);
  for (const name of fineTuningRunsOf(recipe)) add(`fine-tune ${name}`, trained, everybodys, costs.ofFineTuning);
  const merges = modelsOf(recipe).filter(
    ({ role, name }) => role === "fused" || role === "merge" || name === "sft-merge",
  );
  for (const [index, { name }] of merges.entries()) {
    const disk = modelBytes(pivot.sizes.parameters, recipe.merge[index]?.dtype ?? storedDtype(pivot));
    const read = (recipe.sources.length + 1) * trained;
    add(`merge ${name}`, disk, here, own(MERGE_MEMORY, read / MERGE_BYTES_PER_SECOND));
  }
  for (const [index, evaluation] of recipe.evaluate.benchmarks.entries()) {
    const { prompts } = inputs.evaluations[index]!;
    const evaluated = evaluatedModels(recipe, evaluation);
    const generates = benchmarkOf(evaluation.benchmark).reads === "answers";
    const each = evaluated.map(({ role, name, engine }) => {
      const place = Math.max(
        0,
        models.findIndex((planned) => role === "source" && planned.name === name),
      );
      const share = prompts / Math.max(1, inputs.conversations.train.length);
      const { train_tokens, train_rows } = models[place]!;
      const estimate = engine === undefined ? everybodys : estimates(engine);
      return passes(estimate, inputs.models[place]!, train_tokens * share, train_rows * share);
    });
    const disk = evaluated.length * prompts * (generates ? ANSWER_BYTES : RESULT_BYTES);
    add(`evaluate ${evaluation.name}`, disk, everybodys, oneAfterTheOther(each, generates ? GENERATION_FACTOR : 1));
  }
  return stages;
}

/** Where a stage is worked on. */
type Machine = Pick<Estimate, "processes" | "memory" | "availableBytes">;

/** The costs of a stage that has several models; each takes `factor` as long. */
function oneAfterTheOther(costs: readonly Cost[], factor: number): Cost {
  const largest = costs.reduce((most, cost) => (cost.memoryBytes > most.memoryBytes ? cost : most));
  let seconds: number | null = 0;
  for (const cost of costs)
    seconds = seconds === null || cost.seconds === null ? null : seconds + cost.seconds * factor;
  return { ...largest, seconds, workBytes: Math.max(...costs.map(({ workBytes }) => workBytes)) };
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
  const dtype = [...(pivot.weights?.tensors ?? new Map()).values()][0]?.dtype;
  return dtype === "F16" ? "float16" : dtype === "BF16" ? "bfloat16" : "float32";
}
