/**
 * What one process of the torch engine holds at its peak, from sizes alone: its part of weights, gradients and moments;
 * what FSDP2 gathers for a moment (embedding and head, and of two layers the one that computes and the next); the states
 * between layers, which recomputation starts from; and the larger of a layer's backward pass and the head's. Checked
 * against FSDP2's memory tracker on fake tensors (`test/torch/memory.torch.ts`).
 *
 * Legend: P parameters, O of them outside of layers, W processes, T tokens of a micro-batch, h hidden size, I intermediate size, V vocabulary, L layers;
 * c bytes of the compute dtype.
 */
import type { ModelSizes } from "../../models/sizes.ts";
import type { LoraShape } from "../estimate.ts";
import { ALL_LINEAR } from "../lora.ts";
import type { Compute } from "./settings.ts";

export interface ProcessWork {
  readonly kind: "rows" | "train";
  readonly processes: number;
  readonly microTokens: number;
  readonly compute: Compute;
  /** Low-rank adapters are trained, and not the weights; null: the weights. */
  readonly lora: LoraShape | null;
}

/** CUDA's context, its libraries and the buffers of NCCL; on processors Python with PyTorch. */
const CONTEXT_BYTES = { gpu: 2e9, processor: 0.7e9 } as const;
/** What the allocator cannot use. */
const FRAGMENTED = 1.1;

/** Without context and fragments: what tensors take. */
export function tensorBytes(sizes: ModelSizes, work: ProcessWork): number {
  return work.kind === "rows" ? rowsBytes(sizes, work) : trainBytes(sizes, work);
}

export function processBytes(sizes: ModelSizes, work: ProcessWork, place: "gpu" | "processor"): number {
  return FRAGMENTED * tensorBytes(sizes, work) + CONTEXT_BYTES[place];
}

/** Parameters that are trained: those of the adapters, where there are some. */
export function trainedParameters({ parameters, linears }: ModelSizes, lora: LoraShape | null): number {
  if (lora === null) return parameters;
  const sides = lora.targets.includes(ALL_LINEAR)
    ? [...linears.values()]
    : lora.targets.map((name) => linears.get(name) ?? 0);
  return lora.rank * sides.reduce((sum, side) => sum + side, 0);
}

function rowsBytes(sizes: ModelSizes, { processes: W, microTokens: T, compute }: ProcessWork): number {
  const { parameters: P, outerParameters: O, hiddenSize: h, intermediateSize: I, vocabularySize: V } = sizes;
  const c = bytesOf(compute);
  const layer = gatheredLayers(sizes, W, c) + T * c * (4 * h + 3 * I);
  const head = HEAD_BYTES * chunkRows(V) * V + T * c * h;
  const arriving = W > 1 ? c * O : 0;
  return (c * P) / W + c * O + Math.max(layer, head, arriving);
}

function trainBytes(sizes: ModelSizes, { processes: W, microTokens: T, compute, lora }: ProcessWork): number {
  const { parameters: P, layerParameters, outerParameters: O, layers: L } = sizes;
  const { hiddenSize: h, intermediateSize: I, vocabularySize: V } = sizes;
  const c = bytesOf(compute);
  const state = STATE_BYTES * trainedParameters(sizes, lora) + (lora === null ? 0 : c * P);
  const between = T * c * h * (L - 1);
  // The head's gradient waits for the embedding's while layers go backward; a layer's is summed in float32.
  const gradients = lora === null ? c * V * h + 4 * layerParameters : 0;
  const layer = gatheredLayers(sizes, W, c) + (T * (35 * h + 11 * I) * c) / 2 + gradients;
  const head = HEAD_BYTES * chunkRows(V) * V + (lora === null ? 8 * V * h : 0);
  // At the end of a backward pass the gradients of embedding and head are summed together.
  const summing = lora === null ? (c / 2 + 4 + 4 / W) * O : 0;
  return state / W + Math.max(c * O + between + Math.max(layer, head), summing);
}

/** The layer that computes and, where others hold parts of it, the next. */
function gatheredLayers({ layerParameters }: ModelSizes, processes: number, c: number): number {
  return (processes > 1 ? 2 : 1) * c * layerParameters;
}

/** Weight, gradient and two moments in float32. */
const STATE_BYTES = 16;
/** Per logit of a chunk: five in float32. */
const HEAD_BYTES = 20;

function bytesOf(compute: Compute): number {
  return compute === "float32" ? 4 : 2;
}

/** Rows of logits that exist together (`python/fusechat_torch/head.py`). */
export function chunkRows(vocabulary: number): number {
  return Math.min(1024, Math.max(256, Math.floor(2 ** 25 / vocabulary)));
}
