/**
 * The engine's thread. A run of the runtime blocks its event loop for up to seconds, which would stop progress bars,
 * servers and Ctrl-C; here it blocks nobody. Calls are answered one at a time, in the order they come.
 */
import { availableParallelism } from "node:os";
import { parentPort, type Transferable, workerData } from "node:worker_threads";
import { FusechatError, internalError } from "../../errors.ts";
import type { Model } from "../../models/index.ts";
import { readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { generateAnswers } from "./generation/generate.ts";
import { computeLogits, computeRows } from "./inference.ts";
import { type LoadedModel, loadModel } from "./loaded-model.ts";
import type { CallName, Calls, Handle, OpenedModel, Reply, Request } from "./messages.ts";
import type { NativeGate } from "./native-gate.ts";
import { RESIDENT_BYTES } from "./placement.ts";
import { loadRuntime, type Runtime } from "./runtime.ts";
import { writeWeights } from "./save-weights.ts";
import { computeStreamedLogits, computeStreamedRows } from "./streamed/rows.ts";
import { openTraining, type TrainingState, trainStep } from "./training.ts";

const models = new Map<Handle, LoadedModel>();
const trainings = new Map<Handle, TrainingState>();
let runtime: Runtime | undefined;
let residentBytes = RESIDENT_BYTES;
/** Of the optimiser. */
let threads = availableParallelism();
let lastHandle: Handle = 0;

function loadedRuntime(): Runtime {
  if (runtime === undefined) throw internalError("the engine was called before it was loaded");
  return runtime;
}

function modelOf(handle: Handle): LoadedModel {
  const loaded = models.get(handle);
  if (loaded === undefined) throw internalError("a model was used after it was disposed of");
  return loaded;
}

function trainingOf(handle: Handle): TrainingState {
  const state = trainings.get(handle);
  if (state === undefined) throw internalError("a trainer was used after it was disposed of");
  return state;
}

function opened(model: Model): OpenedModel {
  const { vocabularySize, maxPositions } = model.config;
  return { handle: ++lastHandle, vocabulary: vocabularySize, parameters: model.parameters, maxPositions };
}

type Answer<Name extends CallName> = (input: Calls[Name]["input"], id: number) => Promise<Calls[Name]["output"]>;

const answers: { readonly [Name in CallName]: Answer<Name> } = {
  load: async ({ threads: wanted, residentBytes: limit }) => {
    runtime = await loadRuntime(wanted, workerData as NativeGate);
    threads = wanted ?? availableParallelism();
    residentBytes = limit ?? RESIDENT_BYTES;
    return null;
  },
  idle: async () => null,
  open: async ({ folder }) => {
    const loaded = await loadModel(folder, loadedRuntime(), residentBytes);
    const description = opened(loaded.model);
    models.set(description.handle, loaded);
    return description;
  },
  rows: ({ handle, sequences, topK }) => {
    const loaded = modelOf(handle);
    if (loaded.streamed === null) return computeRows(loaded, loadedRuntime(), sequences, topK);
    return computeStreamedRows(loaded.streamed, loadedRuntime(), sequences, topK);
  },
  logits: ({ handle, ids }) => {
    const loaded = modelOf(handle);
    if (loaded.streamed === null) return computeLogits(loaded, loadedRuntime(), ids);
    return computeStreamedLogits(loaded.streamed, loadedRuntime(), ids);
  },
  generate: ({ handle, prompts, options, stop }, id) =>
    generateAnswers(modelOf(handle), loadedRuntime(), prompts, options, {
      onToken: (prompt, token) => reply({ type: "token", id, prompt, token }),
      stopped: () => Atomics.load(stop, 0) !== 0,
    }),
  close: async ({ handle }) => {
    const training = trainings.get(handle);
    const closed = models.get(handle) ?? training;
    models.delete(handle);
    trainings.delete(handle);
    await training?.optimiser.dispose();
    if (closed !== undefined) await loadedRuntime().release(`${closed.model.folder}:`);
    return null;
  },
  train: async ({ folder, options }) => {
    const state = await openTraining(folder, options, loadedRuntime(), threads);
    const description = opened(state.model);
    trainings.set(description.handle, state);
    return description;
  },
  step: ({ handle, step }) => trainStep(trainingOf(handle), loadedRuntime(), step),
  saveCheckpoint: async ({ handle, path }) => {
    await writeCheckpoint(trainingOf(handle), path);
    return null;
  },
  loadCheckpoint: async ({ handle, path }) => {
    await readCheckpoint(trainingOf(handle), path);
    return null;
  },
  saveWeights: async ({ handle, folder, dtype }) => {
    const { model, parameters, carried } = trainingOf(handle);
    const trained = model.shapes.map(({ name, shape }) => ({ name, shape, data: parameters.get(name)!.weight }));
    await writeWeights(folder, trained, dtype, { carried });
    return null;
  },
};

async function answer<Name extends CallName>(request: Request<Name>): Promise<void> {
  const { call, id, input } = request as { call: Name; id: number; input: Calls[Name]["input"] };
  try {
    const output = await answers[call](input, id);
    reply({ type: "done", id, output }, buffersOf(output));
  } catch (error) {
    if (error instanceof FusechatError) {
      reply({ type: "error", id, code: error.code, message: error.message });
    } else {
      const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
      reply({ type: "error", id, code: "internal", message: internalError(`${call}: ${problem}`).message });
    }
  }
}

function reply(message: Reply, transfer: readonly Transferable[] = []): void {
  parentPort!.postMessage(message, transfer);
}

/** The buffers of the arrays directly in an output: they move instead of being copied. */
function buffersOf(output: Calls[CallName]["output"]): ArrayBuffer[] {
  if (output === null) return [];
  const values: readonly unknown[] = output instanceof Float32Array ? [output] : Object.values(output);
  const buffers = values.flatMap((value) => (ArrayBuffer.isView(value) ? [value.buffer as ArrayBuffer] : []));
  return [...new Set(buffers)];
}

let queue: Promise<void> = Promise.resolve();
parentPort!.on("message", (request: Request) => {
  queue = queue.then(() => answer(request));
});
