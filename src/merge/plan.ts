/**
 * What a merge will do, tensor by tensor, known from headers alone. Whatever cannot work is refused here, by tensor
 * name, before anything is written: missing tensors, shapes that differ, integers, other tokenizers, absent options.
 */
import { stat } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { inputError } from "../errors.ts";
import { DTYPE_BYTES, type TensorInfo } from "../formats/safetensors.ts";
import { openWeights, type Weights } from "../formats/weights.ts";
import type { MergeConfig, MergeModel } from "./config.ts";
import { type MergeDtype, mergeDtypeOf, promote, STORED_DTYPE } from "./dtypes.ts";
import type { MergeMethod } from "./method.ts";
import { METHODS } from "./methods/index.ts";
import { resolveOptions } from "./options.ts";
import { depthsOf, type Parameters } from "./parameters.ts";
import { checkSameVocabulary } from "./vocabulary.ts";
import { matchShapes, paddingRule, TIED_HEADS } from "./vocabulary-padding.ts";

export interface MergeInput {
  /** As the configuration calls it. */
  readonly name: string;
  readonly folder: string;
  readonly weights: Weights;
  readonly parameters?: Parameters | undefined;
}

/** A tensor as it lies in one of the inputs. */
export interface StoredTensor extends TensorInfo {
  readonly input: string;
  readonly mergeDtype: MergeDtype;
  /** Of a part of the rows: which row of the stored tensor comes first. */
  readonly firstRow?: number;
}

export interface TensorPlan {
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
  readonly options: Record<string, unknown>;
  readonly modelOptions: readonly Record<string, unknown>[];
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
  /** All inputs read once, and the output. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly warnings: readonly string[];
}

/** Tables that old checkpoints stored although they follow from the config; nothing reads them. */
const DERIVED = /\.rotary_emb\.inv_freq$/;

/** Opens all inputs and plans the merge. Relative model paths are looked up in `baseFolder`, then in the current folder. */
export async function planMerge(config: MergeConfig, baseFolder: string, likeMergekit: boolean): Promise<MergePlan> {
  const method = METHODS.find(({ name }) => name === config.merge_method);
  if (method === undefined) throw inputError("merge_method", `unknown method ${JSON.stringify(config.merge_method)}`);
  const { models, base } = await openInputs(config, method, baseFolder);
  const listed = models.find(({ name }) => name === config.base_model);
  const donor = base ?? listed ?? models[0]!;
  const all = base === undefined ? models : [base, ...models];
  const ordered = [donor, ...all.filter((input) => input !== donor)];
  if (!likeMergekit) await checkSameVocabulary(ordered);

  const names = tensorNames(ordered);
  const depth = depthsOf(names);
  // What mergekit does without a tokenizer setting is to refuse.
  const keepsShape = config.base_model !== undefined && !likeMergekit;
  const rule = keepsShape ? paddingRule(all.indexOf(donor), donor.folder) : undefined;
  const tensors = await inTurn(names, async (name): Promise<TensorPlan> => {
    const whole = all.map((input) => tensorOf(input, name, ordered));
    const { stored, padding } = await matchShapes(name, whole, rule);
    const resolved = resolveOptions(method, config.parameters, models, name, depth(name));
    const problem = method.problem?.(resolved.options, resolved.modelOptions);
    if (problem !== undefined) throw inputError(JSON.stringify(name), problem);
    const working = config.dtype ?? promote(stored.map(({ mergeDtype }) => mergeDtype));
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
  });
  return {
    method,
    config,
    models,
    base,
    donor,
    tensors,
    bytesIn: sum(tensors.flatMap(inputsOf).map(({ byteLength }) => byteLength)),
    bytesOut: sum(tensors.map((tensor) => outputEntries(tensor) * DTYPE_BYTES[STORED_DTYPE[tensor.output]])),
    warnings: [...(config.warnings ?? []), ...remarks(method, tensors)],
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

async function openInputs(
  config: MergeConfig,
  method: MergeMethod,
  baseFolder: string,
): Promise<{ models: MergeInput[]; base: MergeInput | undefined }> {
  const open = async ({ model, parameters }: MergeModel): Promise<MergeInput> => {
    const folder = await findFolder(model, baseFolder);
    return { name: model, folder, weights: await openWeights(folder), parameters };
  };
  const isBase = ({ model }: MergeModel): boolean => model === config.base_model;
  const list = [...config.models];
  if (method.base === "model") {
    if (config.base_model !== undefined && !list.some(isBase)) list.push({ model: config.base_model });
    return { models: await inTurn(list, open), base: undefined };
  }
  if (config.base_model === undefined) throw inputError("base_model", `${method.name} needs one, found none`);
  const models = await inTurn(
    list.filter((model) => !isBase(model)),
    open,
  );
  return { models, base: await open({ model: config.base_model }) };
}

async function findFolder(model: string, baseFolder: string): Promise<string> {
  const places = isAbsolute(model) ? [model] : [...new Set([resolve(baseFolder, model), resolve(model)])];
  for (const place of places) {
    const found = await stat(place).catch(() => undefined);
    if (found?.isDirectory()) return place;
  }
  throw inputError(JSON.stringify(model), `expected a model folder, found none at ${places.join(" or ")}`);
}

/** The donor's tensors in the order of its files, then those that only others have. */
function tensorNames(ordered: readonly MergeInput[]): string[] {
  const names = new Map<string, true>();
  for (const { weights } of ordered) {
    for (const name of weights.tensors.keys()) if (!DERIVED.test(name)) names.set(name, true);
  }
  return [...names.keys()];
}

function tensorOf(input: MergeInput, name: string, ordered: readonly MergeInput[]): StoredTensor {
  const tensors = input.weights.tensors;
  const info = tensors.get(name) ?? tensors.get(TIED_HEADS[name] ?? "");
  if (info === undefined) {
    const owner = ordered.find(({ weights }) => weights.tensors.has(name))!;
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

/** Each remark once, with the first tensor it was made about. */
function remarks(method: MergeMethod, tensors: readonly TensorPlan[]): string[] {
  const found = new Map<string, string>();
  for (const { name, options } of tensors) {
    const remark = method.remark?.(options);
    if (remark !== undefined && !found.has(remark)) found.set(remark, `${JSON.stringify(name)}: ${remark}`);
  }
  return [...found.values()];
}

async function inTurn<T, U>(items: readonly T[], work: (item: T) => Promise<U>): Promise<U[]> {
  const results: U[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
