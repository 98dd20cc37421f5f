/**
 * What work takes on PyTorch: memory of each process (`memory.ts`), hours by the rates of the card that is named or here,
 * disk of the job folders. A micro-batch takes as long as its products, or as the transfer of what FSDP2 gathers and
 * scatters for it, whichever is longer: both go on at once.
 */
import { type Cost, type Estimate, lessonsBytes, type PassesWork, type TrainingWork } from "../estimate.ts";
import type { Throughput } from "../onnx/throughput.ts";
import { advise } from "./fitting.ts";
import { type Gpu, gpuCalled, gpuOf } from "./gpus.ts";
import { type ProcessWork, processBytes, trainedParameters } from "./memory.ts";
import type { PythonFacts } from "./python.ts";
import { microTokensOf, type TorchSettings } from "./settings.ts";

/** Of the peak: what large products and everything between them reach together. */
const PEAK_SHARE = 0.4;

/** Operations a parameter and token: forward, and in training the same again for recomputation, and backward. */
const ROWS_OPERATIONS = 2;
const TRAINING_OPERATIONS = 8;
/** Backward to the states alone: frozen weights have no gradient. */
const LORA_OPERATIONS = 6;

/** Bytes a parameter: gathered in two bytes for each pass over the layers, a gradient scattered in four. */
const ROWS_TRANSFER = 2;
const TRAINING_TRANSFER = 8;
const LORA_TRANSFER = 4;

/** Weights and moments. */
const CHECKPOINT_BYTES = 12;

/** Sequences of a block of rows (`BLOCK` of `index.ts`). */
const BLOCK = 256;

/** What is known of the machine; `facts` null: nothing was asked of its Python. */
export interface TorchMachine {
  readonly facts: PythonFacts | null;
  /** Of main memory. */
  readonly availableBytes: number;
  /** The embedded engine's, which stands for PyTorch's on processors: nobody has measured that over machines. */
  readonly throughput: Throughput;
}

export function estimateTorch(settings: TorchSettings, { facts, availableBytes, throughput }: TorchMachine): Estimate {
  const gpu = cardOf(settings, facts);
  const onProcessor = settings.device === "cpu" || (gpu === null && facts !== null && facts.cuda === 0);
  // Apple's GPUs have the memory of the processor, and a speed of their own.
  const isProcessor = onProcessor && (settings.device === "cpu" || facts?.mps !== true);
  const processes = settings.processes ?? (onProcessor ? 1 : Math.max(1, facts?.cuda ?? 1));
  const place = onProcessor ? "processor" : "gpu";
  const budget = microTokensOf(settings, onProcessor);
  // Processes of a processor share its memory.
  const limit = onProcessor ? availableBytes / processes : (gpu?.memoryBytes ?? null);
  const costOf = (model: EstimatedSizes, work: ProcessWork, time: Time, workBytes: number): Cost => {
    const memoryBytes = processBytes(model, work, place);
    return {
      memoryBytes,
      seconds:
        gpu !== null
          ? secondsOf(gpu, processes, time)
          : isProcessor
            ? onProcessorSeconds(throughput, work, time)
            : null,
      workBytes,
      advice: limit === null || memoryBytes <= limit ? null : advise(model, work, limit, place),
    };
  };
  return {
    processes,
    availableBytes: limit,
    memory: onProcessor ? "memory" : "memory of a GPU",
    basis: isProcessor ? `${throughput.basis}, of the embedded engine` : basisOf(gpu),
    passes: ({ sizes }, { extents, tokens, rows, topK }: PassesWork) => {
      const each = meanLength(extents) * BLOCK;
      const microTokens = microBatch(extents, each, budget, processes);
      const work: ProcessWork = { kind: "rows", processes, microTokens, compute: settings.compute, lora: null };
      const time: Time = {
        parameters: sizes.activeParameters,
        operations: ROWS_OPERATIONS * sizes.activeParameters,
        transfer: ROWS_TRANSFER * sizes.parameters,
        rounds: roundsOf(tokens, each, budget, processes),
        tokens,
      };
      return costOf(sizes, work, time, sequenceBytes(tokens, rows) + rows * (4 + 8 * topK));
    },
    training: ({ sizes }, work: TrainingWork) => {
      const { lora, epochs, steps, tokens, checkpoints } = work;
      const [first = []] = work.batches();
      const all = epochs * tokens;
      const each = all / Math.max(1, steps);
      const microTokens = microBatch(first, each, budget, processes);
      const process: ProcessWork = { kind: "train", processes, microTokens, compute: settings.compute, lora };
      const time: Time = {
        parameters: sizes.activeParameters,
        operations: (lora === null ? TRAINING_OPERATIONS : LORA_OPERATIONS) * sizes.activeParameters,
        transfer: (lora === null ? TRAINING_TRANSFER : LORA_TRANSFER) * sizes.parameters,
        rounds: roundsOf(all, each, budget, processes),
        tokens: all,
      };
      const checkpointBytes = checkpoints === 0 ? 0 : 2 * CHECKPOINT_BYTES * trainedParameters(sizes, lora);
      // The job's files are what the training reads, once more.
      const cost = costOf(sizes, process, time, 2 * lessonsBytes(work) + checkpointBytes);
      return { ...cost, microBatchTokens: budget, checkpointBytes };
    },
  };
}

type EstimatedSizes = Parameters<Estimate["passes"]>[0]["sizes"];

function cardOf({ gpu, device }: TorchSettings, facts: PythonFacts | null): Gpu | null {
  if (gpu !== null) return gpuOf(gpu);
  const [found] = device === "cpu" ? [] : (facts?.gpus ?? []);
  if (found === undefined) return null;
  return gpuCalled(found.name, found.bytes) ?? { title: found.name, memoryBytes: found.bytes, ...UNKNOWN_RATES };
}

/** A card that the table has not: its memory is known, its speed is not. */
const UNKNOWN_RATES = { operationsPerSecond: 0, linkBytesPerSecond: 0 } as const;

interface Time {
  /** That take part in a token. */
  readonly parameters: number;
  /** Of a token. */
  readonly operations: number;
  /** Bytes of a micro-batch. */
  readonly transfer: number;
  readonly rounds: number;
  readonly tokens: number;
}

function secondsOf(gpu: Gpu, processes: number, { operations, transfer, rounds, tokens }: Time): number | null {
  if (gpu.operationsPerSecond === 0) return null;
  const computing = (operations * tokens) / processes / (PEAK_SHARE * gpu.operationsPerSecond);
  const moving = (rounds * transfer * (1 - 1 / processes)) / gpu.linkBytesPerSecond;
  return Math.max(computing, moving);
}

/** Micro-batches that one process works through, where `each` tokens belong together (a step's, a block's). */
function roundsOf(tokens: number, each: number, budget: number, processes: number): number {
  if (each === 0) return 0;
  return (tokens / each) * Math.ceil(each / (budget * processes));
}

/** Tokens of the largest micro-batch: what belongs together is spread over the processes, a sequence is not cut. */
function microBatch(extents: PassesWork["extents"], each: number, budget: number, processes: number): number {
  const longest = extents.reduce((most, { length }) => Math.max(most, length), 1);
  return Math.ceil(Math.max(longest, Math.min(budget, each / processes)));
}

function meanLength(extents: PassesWork["extents"]): number {
  return extents.reduce((sum, { length }) => sum + length, 0) / Math.max(1, extents.length);
}

/** Ids and places of all sequences in a job folder. */
function sequenceBytes(tokens: number, rows: number): number {
  return 4 * (tokens + rows);
}

function onProcessorSeconds(throughput: Throughput, { kind }: ProcessWork, { parameters, tokens }: Time): number {
  return kind === "rows"
    ? throughput.inferenceSeconds(parameters, tokens)
    : throughput.trainingSeconds(parameters, tokens);
}

function basisOf(gpu: Gpu | null): string {
  if (gpu === null) return "hours need a card: name one in engine, such as gpu: h100";
  if (gpu.operationsPerSecond === 0) {
    return `hours of ${gpu.title} are not known here: name a card like it in engine, such as gpu: h100`;
  }
  const peak = (gpu.operationsPerSecond / 1e12).toFixed(0);
  const link = (gpu.linkBytesPerSecond / 1e9).toFixed(0);
  return `${PEAK_SHARE * 100} % of ${peak} TFLOP/s and ${link} GB/s a card, ${gpu.title}`;
}
