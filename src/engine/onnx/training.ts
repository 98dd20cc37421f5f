/**
 * One optimiser step: micro-batches forward and backward on the runtime, gradients summed in the order of the batches,
 * then clipping and AdamW here. The loss is a mean over the rows of the whole step, so every row's coefficients are
 * divided by their number before they go in and micro-batches simply add up.
 *
 * Legend: B sequences of a micro-batch, T positions each, N rows, W width of the sparse targets, H hidden size.
 */
import { failure } from "../../errors.ts";
import { elements } from "../../graph/graph.ts";
import { openModel } from "../../models/index.ts";
import type { OptimiserOptions, StepResult } from "../engine.ts";
import { adamwStep, clipScale, gradientNorm, type Parameter } from "./adamw.ts";
import { type MicroBatch, planBatches, shapeKey } from "./batches.ts";
import { discard } from "./discard.ts";
import { type LoadedModel, loadModel } from "./loaded-model.ts";
import { leastTrainingBytes, positionBudget } from "./memory.ts";
import { refuseBeyondMemory } from "./memory-check.ts";
import type { PackedStep } from "./messages.ts";
import { batchInputs, extents } from "./micro-batches.ts";
import { GRADIENT_PREFIX, trainingProgram } from "./programs/training.ts";
import type { Runtime, Tensors } from "./runtime.ts";

/**
 * A program tells targets by their positive weight. At lambda 1 they have this one, too small to move any gradient, so
 * that the loss that is only watched is right as well.
 */
const TARGET_MARK = 1e-20;

/** Weights, moments and the number of steps taken: all that a checkpoint holds. */
export interface TrainingState {
  readonly loaded: LoadedModel;
  readonly options: OptimiserOptions;
  readonly parameters: ReadonlyMap<string, Omit<Parameter, "gradient">>;
  /** Positions of one micro-batch. */
  readonly positions: number;
  steps: number;
}

/** Loads a folder's weights, with zero moments. Refuses, before anything is read, what will not fit into memory. */
export async function openTraining(
  folder: string,
  options: OptimiserOptions,
  runtime: Runtime,
): Promise<TrainingState> {
  const model = await openModel(folder);
  const positions = positionBudget(model);
  refuseBeyondMemory(folder, leastTrainingBytes(model, positions), "training it");
  const loaded = await loadModel(folder, runtime, Number.POSITIVE_INFINITY);
  const parameters = new Map<string, Omit<Parameter, "gradient">>();
  for (const { name, shape } of model.shapes) {
    const weight = loaded.weights.get(name)!;
    const zeros = (): Float32Array => new Float32Array(weight.length);
    parameters.set(name, { weight, mean: zeros(), square: zeros(), decays: shape.length >= 2 });
  }
  return { loaded, options, parameters, positions, steps: 0 };
}

/** Takes one step; the means returned are those before the update. Throws, changing nothing, where it diverges. */
export async function trainStep(state: TrainingState, runtime: Runtime, step: PackedStep): Promise<StepResult> {
  const rows = step.sequences.positions.length;
  const sums = { label: 0, fusion: 0 };
  const gradients = new Map<string, Float32Array<ArrayBuffer>>();
  for (const batch of planBatches(extents(step.sequences, state.loaded.model.config), state.positions)) {
    await backward(state, runtime, step, batch, gradients, sums);
  }
  const parameters = [...state.parameters].map(([name, parameter]) => {
    // A step without rows has none.
    const gradient = gradients.get(name) ?? new Float32Array(parameter.weight.length);
    return { ...parameter, gradient };
  });
  const norm = gradientNorm(parameters.map(({ gradient }) => gradient));
  if (!Number.isFinite(norm)) {
    throw failure(
      state.loaded.model.folder,
      `the gradient of step ${state.steps + 1} is not finite; lower the learning rate`,
    );
  }
  state.steps++;
  adamwStep(parameters, state.steps, step.learningRate, clipScale(norm, state.options.clipNorm), state.options);
  await discard([...gradients.values()]);
  const count = Math.max(rows, 1);
  return { rows, labelLoss: sums.label / count, fusionLoss: sums.fusion / count, gradientNorm: norm };
}

/** Adds one micro-batch's gradients and losses; the first one's arrays become the sums. */
async function backward(
  { loaded }: TrainingState,
  runtime: Runtime,
  step: PackedStep,
  batch: MicroBatch,
  gradients: Map<string, Float32Array<ArrayBuffer>>,
  sums: { label: number; fusion: number },
): Promise<void> {
  const { model, resident } = loaded;
  const { size, length, rows, isLong } = batch;
  const { width, tailProbability } = step.targets;
  const tail = tailProbability !== null;
  const session = await runtime.session(
    `${model.folder}: training ${shapeKey(batch)}, ${rows} rows, width ${width}${tail ? ", tail" : ""}`,
    () => trainingProgram(model, { batch: size, length, isLong, rows, width, tail }),
  );
  const feeds = batchInputs(runtime, batch, step.sequences);
  const outputs = await session.run({
    ...(await resident()),
    ...feeds.tensors,
    ...coefficients(runtime, step, feeds.rows, rows),
  });
  const added: Float32Array<ArrayBuffer>[] = [];
  for (const { name, shape } of model.shapes) {
    const gradient = outputs[`${GRADIENT_PREFIX}${name}`]?.data as Float32Array<ArrayBuffer> | undefined;
    const sum = gradients.get(name);
    if (sum === undefined) {
      // An untied embedding's gradient comes from the looked-up rows alone.
      gradients.set(name, gradient ?? new Float32Array(elements(shape)));
    } else if (gradient !== undefined) {
      addTo(sum, gradient);
      added.push(gradient);
    }
  }
  await discard(added);
  const embedding = gradients.get(model.embedding)!;
  scatterAdd(embedding, feeds.tensors.ids!.data as Int32Array, outputs.grad_embedded!.data as Float32Array);
  addLosses(sums, step, feeds.rows, outputs);
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

/** Adds row i of `rows` [B*T, H] to row `ids[i]` of the embedding's gradient: a third of the runtime's own time. */
function scatterAdd(gradient: Float32Array, ids: Int32Array, rows: Float32Array): void {
  const hidden = rows.length / ids.length;
  for (let i = 0; i < ids.length; i++) {
    const to = ids[i]! * hidden;
    const from = i * hidden;
    for (let h = 0; h < hidden; h++) gradient[to + h] = gradient[to + h]! + rows[from + h]!;
  }
}

function addTo(sum: Float32Array, values: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + values[i]!;
}
