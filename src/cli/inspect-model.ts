/**
 * What `inspect` says of a model: its shape by its config, its weights by their headers, what working with it takes in
 * memory, its tokenizer and template, what can be done with it by the embedded engine, a merge or a server, and what
 * cannot and why. An architecture that is not known, or weights that cannot be read, are told last, and the rest is told
 * all the same.
 */

import { join } from "node:path";
import { generationMemory, teacherMemory, trainingMemory } from "../engine/onnx/estimate.ts";
import { fullBatch, positionBudget } from "../engine/onnx/memory.ts";
import { availableMemory } from "../engine/onnx/memory-check.ts";
import { placementOf } from "../engine/onnx/placement.ts";
import { inputError } from "../errors.ts";
import { excerptOf } from "../excerpt.ts";
import { readJson } from "../formats/files.ts";
import type { TensorInfo } from "../formats/safetensors.ts";
import { type Outlines, openWeights } from "../formats/weights.ts";
import { checkWeights, type Model, openModel } from "../models/index.ts";
import { modelSizes } from "../models/sizes.ts";
import { emptyTable } from "../table.ts";
import { hasTokenizer } from "../tokenizer/tokenizer-source.ts";
import { orReason, summariseTokenizer, type TokenizerSummary, templateRefusal } from "./inspect-tokenizer.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What cannot be done with a model, and the refusal that whoever tries will read. */
export interface Limit {
  readonly cannot: string;
  readonly because: string;
}

/** Who can do what with a model. */
export interface Abilities {
  /** Of the embedded engine on this machine. */
  readonly embedded_engine: readonly string[];
  /** Whether it can be an input of merges, which ask nothing of an architecture. */
  readonly merge: boolean;
  /** What is left to whatever serves it through OpenAI's interface, known here or not. */
  readonly server: string;
}

export interface ModelMemory {
  /** Tokens of the conversations that the figures assume: a recipe's default, or the context where that is shorter. */
  readonly max_length: number;
  readonly teacher_passes_bytes: number;
  /** Where teacher passes keep the weights. */
  readonly teacher_weights: "resident" | "streamed";
  readonly generation_bytes: number;
  readonly training_bytes: number;
  /** Tokens of a micro-batch at most. */
  readonly training_micro_batch_tokens: number;
  readonly available_bytes: number;
}

/** As much as `data.max_length` of a recipe is where it says nothing. */
const MAX_LENGTH = 2048;

const FLOATS: ReadonlySet<string> = new Set(["F64", "F32", "F16", "BF16"]);

const TEXT_STAGES = "align, distributions, fuse, evaluate and chat";
const WEIGHTS = "anything that reads its weights";
const ENGINE_STAGES = "distributions, fuse, evaluate and chat";
/** What keeps the embedded engine from all of its work. */
const STAGES: ReadonlySet<string> = new Set([TEXT_STAGES, ENGINE_STAGES, WEIGHTS]);
const SERVER_BENCHMARKS = "alpaca-eval, mt-bench and exact-match of its answers, as MODEL@URL";

/** `outlines` are the headers of weights that are not here. `wrong`: see `orReason`. */
export async function summariseModel(folder: string, outlines: Outlines, wrong: Set<string>): Promise<Fields> {
  const path = join(folder, "config.json");
  const json = await readJson(path);
  if (typeof json !== "object" || json === null) throw inputError(path, "expected an object");
  const fields = json as Fields;
  const { model_type: type = null } = fields;
  if (type !== null && typeof type !== "string") {
    throw inputError(`${path}: model_type`, `expected the name of an architecture, found ${excerptOf(type)}`);
  }
  // Models of several parts have the language model's settings in a section.
  const settings = typeof fields.text_config === "object" ? { ...fields, ...fields.text_config } : fields;
  const model = await orReason(() => openModel(folder, outlines), wrong);
  const weights = await orReason(() => openWeights(folder, outlines), wrong);
  const known = typeof model === "string" ? null : model;
  const stored = typeof weights === "string" ? null : weights.tensors;
  const checked = known === null || stored === null ? null : await orReason(() => checkWeights(known, stored), wrong);
  const tokenizer = (await hasTokenizer(folder)) ? await summariseTokenizer(folder, wrong) : null;
  const memory = known === null ? undefined : memoryOf(known);

  const limits: Limit[] = [];
  const limit = (cannot: string, because: unknown): void => {
    if (typeof because === "string") limits.push({ cannot, because });
  };
  const types = new Set([...(stored?.values() ?? [])].map(({ dtype }) => dtype).filter((dtype) => !FLOATS.has(dtype)));
  const mergeable = stored !== null && types.size === 0;
  limit(mergeable ? `${ENGINE_STAGES}; it can still be merged` : ENGINE_STAGES, model);
  if (types.size > 0)
    limit("merge", `it has tensors of ${[...types].join(", ")}, and only floating-point ones are merged`);
  limit(WEIGHTS, weights);
  limit(ENGINE_STAGES, checked);
  for (const found of textLimits(folder, tokenizer, known)) limits.push(found);
  for (const found of memoryLimits(memory)) limits.push(found);

  const canRun = known !== null && typeof checked !== "string" && limits.every(({ cannot }) => !STAGES.has(cannot));
  const parameters = known?.parameters ?? (stored === null ? undefined : storedParameters(stored.values()));
  const figures = stored === null ? {} : weightFigures(stored);
  return {
    kind: "model",
    path: folder,
    architecture: type,
    supported: known !== null,
    ...(known === null ? {} : { family: known.architecture.summary }),
    ...shapeOf(settings, known),
    ...figures,
    parameters,
    active_parameters: activeParameters(settings, known, stored),
    ...carriedFigures(known, stored),
    ...(typeof weights === "string" ? {} : { files: weights.files.length }),
    memory,
    ...(known === null || tokenizer?.size === undefined
      ? {}
      : { padding_rows: Math.max(0, known.config.vocabularySize - tokenizer.size) }),
    tokenizer,
    can: {
      embedded_engine: canRun ? engineWork(memory!) : [],
      merge: mergeable,
      server: SERVER_BENCHMARKS,
    } satisfies Abilities,
    limits,
  };
}

/** What fits into memory. */
function engineWork(memory: ModelMemory): string[] {
  const { available_bytes: available, teacher_weights: placement } = memory;
  const passes = placement === "streamed" ? "teacher passes layer by layer" : "teacher passes";
  return [
    [passes, memory.teacher_passes_bytes] as const,
    ["generation", memory.generation_bytes] as const,
    ["training", memory.training_bytes] as const,
  ].flatMap(([work, needed]) => (needed <= available ? [work] : []));
}

/** Of weights that play no part in texts. */
function carriedFigures(model: Model | null, stored: ReadonlyMap<string, TensorInfo> | null): Fields {
  const carried = [...(stored?.values() ?? [])].filter(({ name }) => model?.isCarried?.(name));
  if (carried.length === 0) return {};
  return { carried_tensors: carried.length, carried_parameters: storedParameters(carried) };
}

/** Counts over the tensors of weight files. */
export function weightFigures(tensors: ReadonlyMap<string, TensorInfo>): Fields {
  const dtypes: Record<string, number> = emptyTable();
  let bytes = 0;
  for (const { dtype, byteLength } of tensors.values()) {
    dtypes[dtype] = (dtypes[dtype] ?? 0) + 1;
    bytes += byteLength;
  }
  return { tensors: tensors.size, parameters: storedParameters(tensors.values()), bytes, dtypes };
}

/** What the config says, as it says it: of a config that is not supported nothing is known to be meant as usual. */
function shapeOf(fields: Fields, model: Model | null): Fields {
  const config = model?.config;
  const windowed = fields.use_sliding_window !== false;
  return {
    layers: config?.layers ?? fields.num_hidden_layers,
    hidden_size: config?.hiddenSize ?? fields.hidden_size,
    intermediate_size: config?.intermediateSize ?? fields.intermediate_size,
    heads: config?.heads ?? fields.num_attention_heads,
    key_value_heads: config?.keyValueHeads ?? fields.num_key_value_heads,
    head_size: config?.headSize ?? fields.head_dim,
    experts: fields.num_local_experts ?? fields.num_experts ?? fields.n_routed_experts,
    experts_per_token: fields.num_experts_per_tok,
    window: windowed ? (fields.sliding_window ?? undefined) : undefined,
    rotary_base: fields.rope_theta,
    rotary_scaling: fields.rope_scaling ?? fields.rope_parameters ?? undefined,
    attention_cap: fields.attn_logit_softcapping ?? undefined,
    logit_cap: config?.logitCap ?? fields.final_logit_softcapping ?? undefined,
    tied_head: config?.tied ?? fields.tie_word_embeddings,
    vocabulary: config?.vocabularySize ?? fields.vocab_size,
    max_positions: config?.maxPositions ?? fields.max_position_embeddings ?? null,
  };
}

/** Parameters that a token meets: of the experts only those it is sent to. Undefined for models without experts. */
function activeParameters(
  fields: Fields,
  model: Model | null,
  stored: ReadonlyMap<string, TensorInfo> | null,
): number | undefined {
  const { parameters, activeParameters: active } = modelSizes(fields, model?.shapes ?? stored?.values() ?? []);
  return active === parameters ? undefined : active;
}

function storedParameters(tensors: Iterable<{ readonly shape: readonly number[] }>): number {
  let sum = 0;
  for (const { shape } of tensors) sum += shape.reduce((product, extent) => product * extent, 1);
  return sum;
}

function memoryOf(model: Model): ModelMemory {
  const length = Math.min(MAX_LENGTH, model.config.maxPositions ?? MAX_LENGTH);
  const positions = positionBudget(model);
  return {
    max_length: length,
    teacher_passes_bytes: teacherMemory(model, length),
    teacher_weights: placementOf(model.parameters),
    generation_bytes: generationMemory(model, length),
    training_bytes: trainingMemory(model, { shapes: [fullBatch(length, positions)], severalBatches: true }),
    training_micro_batch_tokens: positions,
    available_bytes: availableMemory(),
  };
}

function textLimits(folder: string, tokenizer: TokenizerSummary | null, model: Model | null): Limit[] {
  if (tokenizer === null) {
    return [{ cannot: TEXT_STAGES, because: `${folder}: no tokenizer.json or tokenizer.model` }];
  }
  const limits: Limit[] = [];
  if (tokenizer.refused !== undefined) limits.push({ cannot: TEXT_STAGES, because: tokenizer.refused });
  const { template } = tokenizer;
  if ("refused" in template) limits.push({ cannot: ENGINE_STAGES, because: template.refused });
  else if (!template.renders) {
    limits.push({ cannot: ENGINE_STAGES, because: templateRefusal(template) });
  }
  const width = model?.config.vocabularySize;
  if (width !== undefined && tokenizer.size !== undefined && tokenizer.size > width) {
    const because = `the tokenizer has ids up to ${tokenizer.size - 1}, the head ends at ${width - 1}`;
    limits.push({ cannot: `${ENGINE_STAGES}, of texts with the ids beyond`, because });
  }
  return limits;
}

function memoryLimits(memory: ModelMemory | undefined): Limit[] {
  if (memory === undefined) return [];
  const { available_bytes: available } = memory;
  const works = [
    ["training it here", memory.training_bytes],
    ["generation here", memory.generation_bytes],
    ["teacher passes here", memory.teacher_passes_bytes],
  ] as const;
  return works
    .filter(([, needed]) => needed > available)
    .map(([cannot, needed]) => ({
      cannot,
      because: `it needs ${gigabytes(needed)} of memory, and ${gigabytes(available)} are available`,
    }));
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
