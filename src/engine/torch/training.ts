/**
 * A whole training as one job: sequences, targets and the plan of all steps are written down once, Python trains from its
 * last checkpoint to the end, and the weights are moved to where they belong.
 */
import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { FusechatError, internalError } from "../../errors.ts";
import { exists } from "../../formats/files.ts";
import { renameForGood } from "../../formats/folders.ts";
import type { StepResult, TrainSequence, Watch, WholeTraining } from "../engine.ts";
import { ADAPTER_FOLDER } from "../lora.ts";
import { packSequences } from "../packed.ts";
import { manners, signalOf, type TorchContext } from "./context.ts";
import type { JobEvent } from "./events.ts";
import { hasSettings, type JobSettings, writeSequences, writeSettings, writeSteps, writeTargets } from "./job.ts";
import { runJob } from "./launch.ts";
import { modelFacts } from "./model-facts.ts";
import { explainingMemory } from "./out-of-memory.ts";
import { readLog } from "./results.ts";

/** Returns a result a step, those of earlier attempts included. */
export async function trainWhole(
  context: TorchContext,
  training: WholeTraining,
  watch: Watch,
): Promise<readonly StepResult[]> {
  const job = training.work;
  if (!(await hasSettings(job))) await writeArrays(job, training);
  await writeSettings(job, settingsOf(context, training));
  const onEvent = (event: JobEvent): void => {
    const step = stepOf(event);
    if (step !== undefined) watch.onProgress?.(Number(event.step) + 1, step);
  };
  try {
    await explainingMemory(context, { model: training.model, kind: "train", lora: training.lora }, () =>
      runJob(job, context.settings, context.facts, { onEvent, ...signalOf(watch) }),
    );
  } catch (error) {
    // Without a checkpoint there is nothing to go on with, and the next attempt may be another training.
    const interrupted = error instanceof FusechatError && error.code === "interrupted";
    if (!interrupted && !(await exists(join(job, "checkpoint", "checkpoint.json")))) {
      await rm(job, { recursive: true, force: true });
    }
    throw error;
  }
  const results = (await readdir(join(job, "out"))).filter(
    (name) => name.startsWith("model") || name === ADAPTER_FOLDER,
  );
  for (const name of results) {
    await renameForGood(join(job, "out", name), join(training.out, name));
  }
  return readLog(job, training.steps.length);
}

async function writeArrays(job: string, training: WholeTraining): Promise<void> {
  const { count, read } = training;
  const places: number[] = [];
  const sequences: TrainSequence[] = [];
  for (let place = 0; place < count; place++) {
    const sequence = await read(place);
    if (sequence === null) continue;
    places.push(place);
    // Ids and positions stay in memory, targets do not: they are twenty times as large.
    sequences.push({ ...sequence, targetId: NO_IDS, targetProbability: NO_FLOATS, tailProbability: null });
  }
  const first = places[0] === undefined ? null : await read(places[0]);
  if (first === null) throw internalError("a training without a row");
  const packed = packSequences(sequences, await modelFacts(training.model));
  await writeSequences(job, packed, true);
  const order = new Map(places.map((place, index) => [place, index]));
  await writeSteps(
    job,
    training.steps.map(({ batch, learningRate }) => ({
      learningRate,
      batch: batch.flatMap((place) => order.get(place) ?? []),
    })),
  );
  if (training.lambda === 1) return;
  const width = first.targetId.length / first.positions.length;
  const shape = { width, tail: first.tailProbability !== null };
  await writeTargets(job, packed.positions.length, readAll(places, read), shape);
}

async function* readAll(
  places: readonly number[],
  read: WholeTraining["read"],
): AsyncGenerator<TrainSequence, void, void> {
  for (const place of places) {
    const sequence = await read(place);
    if (sequence === null) throw internalError(`conversation ${place} has lost its rows`);
    yield sequence;
  }
}

function settingsOf(context: TorchContext, training: WholeTraining): JobSettings {
  const { clipNorm, beta1, beta2, epsilon, weightDecay } = training.options;
  return {
    kind: "train",
    model: resolve(training.model),
    ...manners(context),
    lambda: training.lambda,
    clip_norm: clipNorm,
    betas: [beta1, beta2],
    epsilon,
    weight_decay: weightDecay,
    checkpoint_steps: training.checkpointSteps,
    dtype: training.dtype,
    ...(training.lora !== null && { lora: { ...training.lora, targets: [...training.lora.targets] } }),
  };
}

function stepOf(event: JobEvent): (StepResult & { readonly seconds: number }) | undefined {
  const { rows, label_loss, fusion_loss, grad_norm, seconds } = event as Record<string, unknown>;
  if (event.event !== "step") return undefined;
  return {
    rows: Number(rows),
    labelLoss: Number(label_loss),
    fusionLoss: Number(fusion_loss),
    gradientNorm: Number(grad_norm),
    seconds: Number(seconds),
  };
}

const NO_IDS = new Int32Array(0);
const NO_FLOATS = new Float32Array(0);
