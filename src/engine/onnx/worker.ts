/**
 * The engine's thread. A run of the runtime blocks its event loop for up to seconds, which would stop progress bars,
 * servers and Ctrl-C; here it blocks nobody. Calls are answered one at a time, in the order they come.
 */
import { availableParallelism } from "node:os";
import { parentPort, type Transferable, workerData } from "node:worker_threads";
import { FusechatError, internalError } from "../../errors.ts";
import type { Model } from "../../models/index.ts";
import { readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { discard } from "./discard.ts";
import { generateAnswers } from "./generation/generate.ts";
import { type LiveAnswers, openLiveAnswers } from "./generation/live-answers.ts";
import { computeLogits, computeRankedRows, computeRows } from "./inference.ts";
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
/** Of the models that are asked for single answers, by handle and how many ids may be drawn; those that are ready take turns. */
const live = new Map<string, Promise<LiveAnswers>>();
const ready = new Map<LiveAnswers, Handle>();
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
  rankedRows: ({ handle, sequences, topK }) => computeRankedRows(modelOf(handle), loadedRuntime(), sequences, topK),
  logits: ({ handle, ids }) => {
    const loaded = modelOf(handle);
    if (loaded.streamed === null) return computeLogits(loaded, loadedRuntime(), ids);
    return computeStreamedLogits(loaded.streamed, loadedRuntime(), ids);
  },
  generate: ({ handle, prompts, options, stop }, id) =>
    generateAnswers(modelOf(handle), loadedRuntime(), prompts, options, {
      onToken: (prompt, token) => reply({ type: "token", id, prompt, token, logprobs: null }),
      stopped: () => Atomics.load(stop, 0) !== 0,
    }),
  answer: async ({ handle, prompt, options, stop }, id) => {
    const ended = (await liveAnswers(handle, options.bannedFrom)).answer(prompt, options, {
      onToken: (token, logprobs) => reply({ type: "token", id, prompt: 0, token, logprobs }),
      stopped: () => Atomics.load(stop, 0) !== 0,
    });
    takeTurns();
    return ended;
  },
  close: async ({ handle }) => {
    for (const key of [...live.keys()]) if (key.startsWith(`${handle}/`)) live.delete(key);
    for (const [answersOf, owner] of [...ready]) {
      if (owner !== handle) continue;
      ready.delete(answersOf);
      answersOf.fail(internalError("a model was disposed of while it answered"));
    }
    const training = trainings.get(handle);
    const loaded = models.get(handle);
    const closed = loaded ?? training;
    models.delete(handle);
    trainings.delete(handle);
    await training?.optimiser.dispose();
    if (closed !== undefined) await loadedRuntime().release(`${closed.model.folder}:`);
    // The next model may need the memory now; the collector does not know.
    if (loaded !== undefined)
      await discard([...new Map([...loaded.weights.values()].map((one) => [one.buffer, one])).values()]);
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

async function liveAnswers(handle: Handle, bannedFrom: number | undefined): Promise<LiveAnswers> {
  const loaded = modelOf(handle);
  const { vocabularySize } = loaded.model.config;
  const allowed = Math.min(vocabularySize, bannedFrom ?? vocabularySize);
  const key = `${handle}/${allowed}`;
  const opening = live.get(key) ?? openLiveAnswers(loaded, loadedRuntime(), allowed);
  live.set(key, opening);
  try {
    const opened = await opening;
    modelOf(handle);
    ready.set(opened, handle);
    return opened;
  } catch (error) {
    live.delete(key);
    throw error;
  }
}

let queue: Promise<void> = Promise.resolve();
let isTurning = false;
/** Whether an answer has joined since the last turn began. */
let hasJoined = false;

/** Lets batches take turns for as long as they have answers; other calls come between two turns. */
function takeTurns(): void {
  hasJoined = true;
  if (isTurning) return;
  isTurning = true;
  // A whole round of the event loop: a pass of the network blocks it, and messages must be heard between two.
  setImmediate(() => {
    queue = queue.then(turn);
  });
}

async function turn(): Promise<void> {
  hasJoined = false;
  let isBusy = false;
  for (const answersOf of [...ready.keys()]) isBusy = (await answersOf.turn()) || isBusy;
  isTurning = false;
  if (isBusy || hasJoined) takeTurns();
}

parentPort!.on("message", (request: Request) => {
  if (request.call === "answer") void answer(request);
  else queue = queue.then(() => answer(request));
});
