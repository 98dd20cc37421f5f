/**
 * The embedded engine: ONNX Runtime in one worker thread, programs built for the shapes at hand. No Python, no
 * conversion of models; weights are read from their safetensors files.
 */
import type { Engine, EngineModel, OptimiserOptions, Sequence, Trainer } from "../engine.ts";
import { checkIds, type ModelLimits, packSequences, packTargets } from "../packed.ts";
import { type Connection, connect } from "./connection.ts";
import type { OpenedModel, StopFlag } from "./messages.ts";
import { modelFacts } from "./model-facts.ts";

export interface OnnxEngineOptions {
  /**
   * Threads of the runtime; default: one a physical core. The same number gives the same bytes; another one may cut
   * the runtime's products elsewhere and round some sums otherwise (1e-7 of a gradient).
   */
  readonly threads?: number;
  /**
   * Models whose weights take up to this many bytes in single precision are kept in memory; of larger ones teacher
   * passes read layer after layer from the files. Default: 1 GB.
   */
  readonly residentBytes?: number;
}

/** Starts the engine's thread and loads the runtime in it; throws where that is not installed. */
export async function createOnnxEngine(options: OnnxEngineOptions = {}): Promise<Engine> {
  const connection = connect();
  try {
    await connection.call("load", {
      threads: options.threads ?? null,
      residentBytes: options.residentBytes ?? null,
    });
  } catch (error) {
    await connection.dispose();
    throw error;
  }
  return {
    kind: "onnx",
    facts: (folder) => modelFacts(folder),
    open: async (folder) => engineModel(connection, folder, await connection.call("open", { folder })),
    train: (folder, optimiser) => openTrainer(connection, folder, optimiser),
    dispose: () => connection.dispose(),
  };
}

function engineModel(connection: Connection, folder: string, opened: OpenedModel): EngineModel {
  const { handle, vocabulary, parameters, maxPositions } = opened;
  const limits: ModelLimits = { folder, vocabulary, maxPositions };
  return {
    folder,
    vocabulary,
    parameters,
    rows: (sequences: readonly Sequence[], topK) => {
      const packed = packSequences(sequences, limits);
      return connection.call("rows", { handle, sequences: packed, topK: Math.min(topK, vocabulary) }, buffers(packed));
    },
    rankedRows: (sequences, topK) => {
      const packed = packSequences(sequences, limits);
      const input = { handle, sequences: packed, topK: Math.min(topK, vocabulary) };
      return connection.call("rankedRows", input, buffers(packed));
    },
    logits: (ids) => {
      checkIds(ids, 0, limits);
      return connection.call("logits", { handle, ids: ids.slice() });
    },
    generate: async (prompts, { signal, ...options }, onToken) => {
      prompts.forEach((prompt, index) => {
        checkIds(prompt, index, limits);
      });
      const copies = prompts.map((prompt) => prompt.slice());
      const input = { handle, prompts: copies, options };
      return stoppable(signal, async (stop) => [
        ...(await connection.call("generate", { ...input, stop }, [], onToken)),
      ]);
    },
    answer: async (prompt, { signal, ...options }, onToken) => {
      checkIds(prompt, 0, limits);
      const input = { handle, prompt: prompt.slice(), options };
      return stoppable(signal, (stop) =>
        connection.call("answer", { ...input, stop }, [], (_, id, logprobs) => onToken(id, logprobs)),
      );
    },
    dispose: async () => {
      await connection.call("close", { handle });
    },
  };
}

/** A call that ends early where its signal says so. */
async function stoppable<T>(signal: AbortSignal | undefined, call: (stop: StopFlag) => Promise<T>): Promise<T> {
  const stop: StopFlag = new Int32Array(new SharedArrayBuffer(4));
  const raise = (): void => void Atomics.store(stop, 0, 1);
  if (signal?.aborted) raise();
  signal?.addEventListener("abort", raise);
  try {
    return await call(stop);
  } finally {
    signal?.removeEventListener("abort", raise);
  }
}

async function openTrainer(connection: Connection, folder: string, options: OptimiserOptions): Promise<Trainer> {
  const { handle, vocabulary, maxPositions } = await connection.call("train", { folder, options });
  const limits: ModelLimits = { folder, vocabulary, maxPositions };
  return {
    step: ({ sequences, lambda, learningRate }) => {
      const packed = packSequences(sequences, limits);
      const targets = packTargets(sequences, limits);
      const step = { sequences: packed, targets, lambda, learningRate };
      return connection.call("step", { handle, step }, [...buffers(packed), ...buffers(targets)]);
    },
    saveCheckpoint: async (path) => {
      await connection.call("saveCheckpoint", { handle, path });
    },
    loadCheckpoint: async (path) => {
      await connection.call("loadCheckpoint", { handle, path });
    },
    saveWeights: async (target, dtype) => {
      await connection.call("saveWeights", { handle, folder: target, dtype });
    },
    dispose: async () => {
      await connection.call("close", { handle });
    },
  };
}

/** The buffers of a message's own arrays. */
function buffers(message: object): ArrayBuffer[] {
  return Object.values(message).flatMap((value) => (ArrayBuffer.isView(value) ? [value.buffer as ArrayBuffer] : []));
}
