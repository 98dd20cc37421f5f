/**
 * One optimiser step: micro-batches forward and backward on the runtime, gradients summed in the order of the batches,
 * then clipping and AdamW. The loss is a mean over the rows of the whole step, so every row's coefficients are
 * divided by their number before they go in and micro-batches simply add up.
 *
 * Legend: B sequences of a micro-batch, T positions each, N rows, W width of the sparse targets, H hidden size.
 */
import { failure } from "../../errors.ts";
import type { TensorInfo } from "../../formats/safetensors.ts";
import { elements } from "../../graph/graph.ts";
import { type Model, openModel } from "../../models/index.ts";
import type { OptimiserOptions, StepResult } from "../engine.ts";
import { type MicroBatch, planBatches, shapeKey } from "./batches.ts";
import { loadModel } from "./loaded-model.ts";
import { leastTrainingBytes, positionBudget } from "./memory.ts";
import { refuseBeyondMemory } from "./memory-check.ts";
import type { PackedStep } from "./messages.ts";
import { batchInputs, extents } from "./micro-batches.ts";
import { clipScale, type Parameter, updateOf } from "./optimiser/adamw.ts";
import { type Optimiser, openOptimiser, usefulThreads } from "./optimiser/optimiser.ts";
import type { Values } from "./optimiser/work.ts";
import { GRADIENT_PREFIX, trainingProgram } from "./programs/training.ts";
import type { Runtime, Tensors } from "./runtime.ts";

/**
 * A program tells targets by their positive weight. At lambda 1 they have this one, too small to move any gradient, so
 * that the loss that is only watched is right as well.
 */
const TARGET_MARK = 1e-20;

/** Weights, moments and the number of steps taken are all that a checkpoint holds. Owns the optimiser. */
export interface TrainingState {
  readonly model: Model;
  /** Tensors of the folder that are saved as they are. */
  readonly carried: readonly TensorInfo[];
  readonly options: OptimiserOptions;
  /** By name, in the order of `model.shapes`. The arrays are others after every step. */
  readonly parameters: Map<string, Parameter>;
  readonly optimiser: Optimiser;
  /** Positions of one micro-batch. */
  readonly positions: number;
  steps: number;
}

/** Loads a folder's weights, with zero moments. Refuses, before anything is read, what will not fit into memory. */
export async function openTraining(
  folder: string,
  options: OptimiserOptions,
  runtime: Runtime,
  threads: number,
): Promise<TrainingState> {
  const model = await openModel(folder);
  const positions = positionBudget(model);
  refuseBeyondMemory(folder, leastTrainingBytes(model, positions), "training it");
  const { weights, carried } = await loadModel(folder, runtime, Number.POSITIVE_INFINITY);
  const parameters = new Map<string, Parameter>();
  for (const { name, shape } of model.shapes) {
    const weight = weights.get(name)!;
    const zeros = (): Values => new Float32Array(weight.length);
    parameters.set(name, { weight, mean: zeros(), square: zeros(), decays: shape.length >= 2 });
  }
  const tensors = model.shapes.map(({ name, shape }) => ({ name, length: elements(shape) }));
  const optimiser = openOptimiser(tensors, model.embedding, usefulThreads(model.parameters, threads));
  return { model, carried, options, parameters, optimiser, positions, steps: 0 };
}

/** Takes one step; the means returned are those before the update. Throws, changing nothing, where it diverges. */
export async function trainStep(state: TrainingState, runtime: Runtime, step: PackedStep): Promise<StepResult> {
  const { model, options, optimiser, parameters } = state;
  const rows = step.sequences.positions.length;
  const sums = { label: 0, fusion: 0 };
  try {
    for (const batch of planBatches(extents(step.sequences, model.config), state.positions)) {
      await backward(state, runtime, step, batch, sums);
    }
    const norm = await optimiser.norm();
    if (!Number.isFinite(norm)) {
      throw failure(model.folder, `the gradient of step ${state.steps + 1} is not finite; lower the learning rate`);
    }
    state.steps++;
    const scale = clipScale(norm, options.clipNorm);
    await optimiser.update(parameters, updateOf(state.steps, step.learningRate, scale, options));
    const count = Math.max(rows, 1);
    return { rows, labelLoss: sums.label / count, fusionLoss: sums.fusion / count, gradientNorm: norm };
  } catch (error) {
    await optimiser.forget();
    throw error;
  }
}

/** Adds one micro-batch's gradients and losses. */
async function backward(
  { model, parameters, optimiser }: TrainingState,
  runtime: Runtime,
  step: PackedStep,
  batch: MicroBatch,
  sums: { label: number; fusion: number },
): Promise<void> {
  const { size, length, rows, isLong } = batch;
  const { width, tailProbability } = step.targets;
  const tail = tailProbability !== null;
  const session = await runtime.session(
    `${model.folder}: training ${shapeKey(batch)}, ${rows} rows, width ${width}${tail ? ", tail" : ""}`,
    () => trainingProgram(model, { batch: size, length, isLong, rows, width, tail }),
  );
  const feeds = batchInputs(runtime, batch, step.sequences);
  const outputs = await session.run({
    ...weightInputs(model, parameters, runtime),
    ...feeds.tensors,
    ...coefficients(runtime, step, feeds.rows, rows),
  });
  addLosses(sums, step, feeds.rows, outputs);
  const gradients = new Map<string, Values>();
  for (const { name } of model.shapes) {
    // An untied embedding's gradient comes from the looked-up rows alone.
    const gradient = outputs[`${GRADIENT_PREFIX}${name}`];
    if (gradient !== undefined) gradients.set(name, gradient.data as Values);
  }
  await optimiser.add(gradients, {
    ids: feeds.tensors.ids!.data as Int32Array,
    rows: outputs.grad_embedded!.data as Values,
  });
}

function weightInputs(model: Model, parameters: ReadonlyMap<string, Parameter>, runtime: Runtime): Tensors {
  return Object.fromEntries(
    model.shapes.map(({ name, shape }) => [name, runtime.tensor(parameters.get(name)!.weight, shape)]),
  );
}

/** The coefficient of every label and target in the loss, for the N rows of a micro-batch; padding rows have 0. */
function coefficients(runtime: Runtime, step: PackedStep, rows: Int32Array, capacity: number): Tensors {
  const { width, targetId, targetProbability, tailProbability } = step.targets;
  const total = step.sequences.positions.length;
  const labelScale = step.lambda / total;
  const targetScale = (1 - step.lambda) / total;
  const markScale = Math.max(1 - step.lambda, TARGET_MARK) / total;
  const labelWeight = new Float32Array(capacity).fill(labelScale, 0, rows.length);
  const batchId = new Int32Array(capacity * width);
  const targetWeight = new Float32Array(capacity * width);
  const tailWeight = new Float32Array(capacity);
  rows.forEach((row, n) => {
    for (let k = 0; k < width; k++) {
      batchId[n * width + k] = targetId[row * width + k]!;
      targetWeight[n * width + k] = markScale * targetProbability[row * width + k]!;
    }
    if (tailProbability !== null) tailWeight[n] = targetScale * tailProbability[row]!;
  });
  return {
    label_weight: runtime.tensor(labelWeight, [capacity]),
    target_id: runtime.tensor(batchId, [capacity, width]),
    target_weight: runtime.tensor(targetWeight, [capacity, width]),
    tail_weight: runtime.tensor(tailWeight, [capacity]),
  };
}

function addLosses(
  sums: { label: number; fusion: number },
  { targets }: PackedStep,
  rows: Int32Array,
  outputs: Tensors,
): void {
  const { width, targetProbability, tailProbability } = targets;
  const labelLogp = outputs.label_logp!.data as Float32Array;
  const targetLogp = outputs.target_logp?.data as Float32Array | undefined;
  const complement = outputs.complement_log?.data as Float32Array | undefined;
  rows.forEach((row, n) => {
    sums.label -= labelLogp[n]!;
    for (let k = 0; k < width; k++) {
      // A place that is not used may stand for a token of probability 0, and 0 times -Infinity is NaN.
      const q = targetProbability[row * width + k]!;
      if (q !== 0) sums.fusion -= q * targetLogp![n * width + k]!;
    }
    const t = tailProbability === null ? 0 : tailProbability[row]!;
    if (t !== 0) sums.fusion -= t * complement![n]!;
  });
}
