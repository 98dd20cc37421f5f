/**
 * What one process of the torch engine holds at its peak, from sizes alone: its part of weights, gradients and moments;
 * what FSDP2 gathers for a moment (embedding and head, and of two layers the one that computes and the next); the states
 * between layers, which recomputation starts from; and the larger of a layer's backward pass and the head's. Checked
 * against FSDP2's memory tracker on fake tensors (`test/torch/memory.torch.ts`).
 *
 * Experts are computed by grouped products: every token's state is copied once for each of its experts, and all experts'
 * gradients come at once. The factors of these are fitted to the tracker's counts of Mixtral and Qwen3-MoE.
 *
 * Legend: P parameters, O of them outside of layers, W processes, T tokens of a micro-batch, h hidden size, I intermediate size (of the experts that a token goes to, all), k
 * experts of a token (0 where there are none), V vocabulary, L layers;
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
  const kept = place === "processor" && work.kind === "train" ? keptBytes(sizes, work) : 0;
  return FRAGMENTED * (tensorBytes(sizes, work) + kept) + CONTEXT_BYTES[place];
}

/** Activations that a processor keeps for the backward pass instead of computing them again. */
function keptBytes(
  { layers: L, hiddenSize: h, intermediateSize: I, expertsPerToken: k }: ModelSizes,
  { microTokens: T, compute }: ProcessWork,
): number {
  return Math.min(KEPT_BYTES, (L * T * (35 * h + 11 * I + 9 * k * h) * bytesOf(compute)) / 2);
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
  const k = sizes.expertsPerToken;
  const forward = k === 0 ? 3 * I : Math.max(4 * I + k * h, I + 4 * k * h);
  const layer = gatheredLayers(sizes, W, c) + T * c * (4 * h + forward);
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
  const k = sizes.expertsPerToken;
  const states = (T * 35 * h * c) / 2;
  const gradients = lora === null ? c * V * h + 4 * layerParameters : 0;
  const feedForward = (T * (11 * I + 9 * k * h) * c) / 2;
  // Of experts that are trained: their gradients in the compute dtype as well, beside less of what led to them.
  const experts = k === 0 || lora !== null ? 0 : (T * (2 * I + 7 * k * h) * c) / 2 + c * layerParameters;
  const layer = gatheredLayers(sizes, W, c) + states + Math.max(feedForward, experts) + gradients;
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
/** As `KEPT_BYTES` of `python/fusechat_torch`. */
const KEPT_BYTES = 1e9;
/** Per logit of a chunk: five in float32. */
const HEAD_BYTES = 20;

function bytesOf(compute: Compute): number {
  return compute === "float32" ? 4 : 2;
}

/** Rows of logits that exist together (`python/fusechat_torch/head.py`). */
export function chunkRows(vocabulary: number): number {
  return Math.min(1024, Math.max(256, Math.floor(2 ** 25 / vocabulary)));
}
