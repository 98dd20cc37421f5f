/**
 * What a merge will do, tensor by tensor, known from headers alone. Whatever cannot work is refused here, by tensor
 * name, before anything is written: missing tensors, shapes that differ, integers, other tokenizers, absent options.
 */
import { inputError } from "../errors.ts";
import { DTYPE_BYTES, type TensorEntry } from "../formats/safetensors.ts";
import type { MergeConfig } from "./config.ts";
import { type MergeDtype, mergeDtypeOf, promote, STORED_DTYPE } from "./dtypes.ts";
import { type MergeInput, openInputs } from "./inputs.ts";
import { countLayers } from "./layers.ts";
import { layOut, type TensorLayout, type TensorSource } from "./layout.ts";
import type { MergeMethod } from "./method.ts";
import { METHODS } from "./methods/index.ts";
import { type ResolvedOptions, resolveOptions } from "./options.ts";
import { isGradient } from "./parameters.ts";
import type { StoredTensor } from "./stored-tensor.ts";
import { type OutputVocabulary, openVocabulary } from "./vocabulary/output-vocabulary.ts";
import { isVocabularyTensor, matchShapes, type PaddingRule, paddingRule, tiedEmbedding } from "./vocabulary/padding.ts";
import { checkSameVocabulary } from "./vocabulary/same-vocabulary.ts";
import { alignRows } from "./vocabulary/token-rows.ts";

export interface TensorPlan extends ResolvedOptions {
  readonly name: string;
  /** Of what is merged, and its entries. */
  readonly shape: readonly number[];
  readonly size: number;
  /** Rows that follow in the output as they are in one of the inputs: padding that others lack. */
  readonly padding: StoredTensor | undefined;
  /** One per merged model, in their order. */
  readonly models: readonly StoredTensor[];
  readonly base: StoredTensor | undefined;
  /** The dtype the merged values are rounded to, before `output`. */
  readonly working: MergeDtype;
  readonly output: MergeDtype;
}

export interface MergePlan {
  readonly method: MergeMethod;
  readonly config: MergeConfig;
  /** The models that are merged. */
  readonly models: readonly MergeInput[];
  /** The model they differ from, for a method that has one. */
  readonly base: MergeInput | undefined;
  /** Where config, tokenizer and template come from: base_model, else the first model. */
  readonly donor: MergeInput;
  readonly tensors: readonly TensorPlan[];
  /** The vocabulary all models were brought to; undefined where each keeps its own. */
  readonly vocabulary: OutputVocabulary | undefined;
  /** Of slices: for every layer of the output, which layer of its first source it is. */
  readonly layers: readonly number[] | undefined;
  /** All inputs read once, and the output. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly warnings: readonly string[];
}

/** Opens all inputs and plans the merge. Relative model paths are looked up in `baseFolder`, then in the current folder. */
export async function planMerge(config: MergeConfig, baseFolder: string, likeMergekit: boolean): Promise<MergePlan> {
  const method = METHODS.find(({ name }) => name === config.merge_method);
  if (method === undefined) throw inputError("merge_method", `unknown method ${JSON.stringify(config.merge_method)}`);
  const inputs = await openInputs(config, baseFolder);
  const all = [...inputs.values()];
  const donor = config.base_model === undefined ? all[0]! : inputs.get(config.base_model)!;
  const vocabulary = config.tokenizer && (await openVocabulary(config.tokenizer, inputs, donor, config, baseFolder));
  if (vocabulary === undefined && !likeMergekit) {
    await checkSameVocabulary([donor, ...all.filter((input) => input !== donor)]);
  }

  const { tensors: layout, layers } = layOut(config, method, inputs, donor, likeMergekit);
  if (layout.length === 0) throw inputError(donor.folder, "expected weights to merge, found no tensors");
  // What mergekit does without a tokenizer setting is to refuse.
  const rule = config.base_model !== undefined && !likeMergekit ? paddingRule(donor.folder) : undefined;
  const tensors: TensorPlan[] = [];
  for (const tensor of layout) tensors.push(await planTensor(tensor, { config, method, donor, rule, vocabulary }));
  const differ = method.base === "origin" || method.base === "optional";
  const base = differ && config.base_model !== undefined ? donor : undefined;
  return {
    method,
    config,
    models: all.filter((input) => input !== base),
    base,
    donor,
    tensors,
    vocabulary,
    layers,
    bytesIn: sum(tensors.flatMap(inputsOf).map(({ byteLength }) => byteLength)),
    bytesOut: sum(tensors.map((tensor) => outputEntries(tensor) * DTYPE_BYTES[STORED_DTYPE[tensor.output]])),
    warnings: [...(config.warnings ?? []), ...longGradients(config, layout), ...remarks(method, tensors)],
  };
}

interface PlanContext extends Pick<MergePlan, "config" | "method" | "donor" | "vocabulary"> {
  readonly rule: PaddingRule | undefined;
}

async function planTensor(
  { name, depth, models, base, shared }: TensorLayout,
  { config, method, donor, rule, vocabulary }: PlanContext,
): Promise<TensorPlan> {
  const all = base === undefined ? models : [base, ...models];
  const whole = all.map((source) => tensorOf(source, all));
  const working = config.dtype ?? promote(whole.map(({ mergeDtype }) => mergeDtype));
  const aligned = vocabulary && isVocabularyTensor(name) ? alignRows(whole, vocabulary, name) : whole;
  const keeper = all.findIndex(({ input }) => input === donor);
  const { stored, padding } = await matchShapes(name, aligned, keeper < 0 ? undefined : rule, keeper);
  const named = models.map(({ input, scopes }) => ({ name: input.name, scopes }));
  const resolved = resolveOptions(method, shared, named, name, depth);
  const problem = method.problem?.(resolved.options, resolved.modelOptions);
  if (problem !== undefined) throw inputError(JSON.stringify(name), problem);
  return {
    name,
    shape: stored[0]!.shape,
    size: elements(stored[0]!.shape),
    padding,
    models: base === undefined ? stored : stored.slice(1),
    base: base === undefined ? undefined : stored[0],
    working,
    output: config.out_dtype ?? working,
    ...resolved,
  };
}

/** All that is read for a tensor. */
export function inputsOf({ models, base, padding }: TensorPlan): readonly StoredTensor[] {
  return [...models, ...(base === undefined ? [] : [base]), ...(padding === undefined ? [] : [padding])];
}

/** The shape of a tensor as it is written. */
export function outputShape({ shape, padding }: TensorPlan): readonly number[] {
  return padding === undefined ? shape : shape.with(0, shape[0]! + padding.shape[0]!);
}

export function outputEntries(tensor: TensorPlan): number {
  return elements(outputShape(tensor));
}

/** What the weights of the output are, in their order. */
export function outputTensors({ tensors }: MergePlan): TensorEntry[] {
  return tensors.map((tensor) => ({
    name: tensor.name,
    shape: outputShape(tensor),
    dtype: STORED_DTYPE[tensor.output],
  }));
}

/** The tensor of one model; `sources` are those of all models, one of which has it. */
function tensorOf({ input, name }: TensorSource, sources: readonly TensorSource[]): StoredTensor {
  const { tensors } = input.weights;
  const info = tensors.get(name) ?? tensors.get(tiedEmbedding(name, tensors.keys()) ?? "");
  if (info === undefined) {
    const owner = sources.find(({ input: other, name: theirs }) => other.weights.tensors.has(theirs))!.input;
    const missing = [...owner.weights.tensors.keys()].filter((other) => !tensors.has(other)).length;
    const more = missing > 1 ? `, nor ${missing - 1} more tensors of it` : "";
    throw inputError(input.folder, `expected the tensor ${JSON.stringify(name)} of ${owner.name}, found none${more}`);
  }
  const mergeDtype = mergeDtypeOf(info.dtype);
  if (mergeDtype === undefined) {
    throw inputError(`${info.file}: ${JSON.stringify(name)}`, `expected floating-point weights, found ${info.dtype}`);
  }
  return { ...info, input: input.name, mergeDtype };
}

/** Of a gradient with more values than the deepest stack has layers some are never met. */
function longGradients({ models, slices, parameters }: MergeConfig, layout: readonly TensorLayout[]): string[] {
  if (slices !== undefined) return [];
  const layers = Math.max(0, ...countLayers(layout.map(({ name }) => name)).values());
  const scopes = [
    ["", parameters] as const,
    ...models.map(({ model, parameters: own }) => [` of ${model}`, own] as const),
  ];
  const found: string[] = [];
  for (const [whose, own = {}] of scopes) {
    for (const [key, setting] of Object.entries(own)) {
      if (!isGradient(setting) || setting.length <= layers) continue;
      found.push(
        `${key}${whose} has ${setting.length} values for ${layers} layers; those between the layers are never met`,
      );
    }
  }
  return found;
}

/** Each remark once, with the first tensor it was made about. */
function remarks(method: MergeMethod, tensors: readonly TensorPlan[]): string[] {
  const found = new Map<string, string>();
  for (const { name, options, modelOptions } of tensors) {
    const remark = method.remark?.(options, modelOptions);
    if (remark !== undefined && !found.has(remark)) found.set(remark, `${JSON.stringify(name)}: ${remark}`);
  }
  return [...found.values()];
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
