/**
 * What a merge will do, tensor by tensor, known from headers alone. Whatever cannot work is refused here, by tensor
 * name, before anything is written: missing tensors, shapes that differ, integers, other tokenizers, absent options.
 */
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { exists } from "../formats/files.ts";
import { DTYPE_BYTES, type TensorEntry } from "../formats/safetensors.ts";
import { hasTokenizer } from "../tokenizer/tokenizer-source.ts";
import { checkStack } from "./check-stack.ts";
import type { MergeConfig } from "./config.ts";
import { configDifferences } from "./config-differences.ts";
import { promote } from "./dtypes.ts";
import { layerSettingWarnings } from "./files/layer-settings.ts";
import type { MergeInput } from "./inputs/input.ts";
import { type InputPlaces, openInputs } from "./inputs/open.ts";
import { type LayerOrigin, layOut, type TensorLayout, type TensorSource } from "./layout.ts";
import type { MergeMethod } from "./method.ts";
import { METHODS } from "./methods/index.ts";
import { resolveOptions } from "./options.ts";
import { remarks, settingWarnings } from "./plan-warnings.ts";
import { asRead, type StoredTensor, storedTensor } from "./stored-tensor.ts";
import { elements, inputsOf, outputDtype, outputEntries, outputShape, type TensorPlan } from "./tensor-plan.ts";
import { type OutputVocabulary, openVocabulary } from "./vocabulary/output-vocabulary.ts";
import { matchShapes, type PaddingRule, paddingRule } from "./vocabulary/padding.ts";
import { checkSameVocabulary } from "./vocabulary/same-vocabulary.ts";
import { alignRows } from "./vocabulary/token-rows.ts";
import { readTokenizerOf } from "./vocabulary/tokenizer-file.ts";

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
  /** Of slices, the layers of the output. */
  readonly layers: readonly LayerOrigin[] | undefined;
  /** The head, where it is a tensor of its own. */
  readonly head: string | undefined;
  /** All inputs read once, and the output. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly warnings: readonly string[];
}

/** Opens all inputs, wherever they are, and plans the merge. */
export async function planMerge(config: MergeConfig, places: InputPlaces, likeMergekit: boolean): Promise<MergePlan> {
  const method = METHODS.find(({ name }) => name === config.merge_method);
  if (method === undefined) throw inputError("merge_method", `unknown method ${JSON.stringify(config.merge_method)}`);
  const inputs = await openInputs(config, places);
  const all = [...inputs.values()];
  const donor = config.base_model === undefined ? all[0]! : inputs.get(config.base_model)!;
  const vocabulary = config.tokenizer && (await openVocabulary(config.tokenizer, inputs, donor, config, places));
  // What a tokenizer.model implies is written beside it: whether it can be read is asked before anything is.
  const isDerived = !(await exists(join(donor.tokenizerFolder, "tokenizer.json")));
  if (isDerived && (await hasTokenizer(donor.tokenizerFolder))) await readTokenizerOf(donor.tokenizerFolder);
  const ordered = [donor, ...all.filter((input) => input !== donor)];
  const uncompared =
    vocabulary === undefined && !likeMergekit
      ? await checkSameVocabulary(ordered.map(({ name, tokenizerFolder }) => ({ name, folder: tokenizerFolder })))
      : [];

  const { tensors: layout, layers, head } = layOut(config, method, inputs, donor, likeMergekit);
  if (layout.length === 0) throw inputError(donor.folder, "expected weights to merge, found no tensors");
  // What mergekit does without a tokenizer setting is to refuse.
  const rule = config.base_model !== undefined && !likeMergekit ? paddingRule(donor.tokenizerFolder) : undefined;
  const tensors: TensorPlan[] = [];
  for (const tensor of layout) tensors.push(await planTensor(tensor, { config, method, donor, rule, vocabulary }));
  if (layers !== undefined) checkStack(tensors, donor);
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
    head,
    bytesIn: sum(tensors.flatMap(inputsOf).map(({ byteLength }) => byteLength)),
    bytesOut: sum(tensors.map((tensor) => outputEntries(tensor) * DTYPE_BYTES[outputDtype(tensor)])),
    warnings: [
      ...(config.warnings ?? []),
      ...all.flatMap(({ warnings }) => warnings),
      ...configDifferences(donor, all),
      ...(vocabulary?.warnings ?? uncompared),
      ...settingWarnings(config, layout),
      ...(layers === undefined ? [] : layerSettingWarnings({ donor, layers })),
      ...remarks(method, tensors),
    ],
  };
}

interface PlanContext extends Pick<MergePlan, "config" | "method" | "donor" | "vocabulary"> {
  readonly rule: PaddingRule | undefined;
}

async function planTensor(
  { name, depth, models, base, shared, isCopied }: TensorLayout,
  { config, method, donor, rule, vocabulary }: PlanContext,
): Promise<TensorPlan> {
  if (isCopied) return copyOf(name, models[0]!);
  const all = base === undefined ? models : [base, ...models];
  const whole = all.map((source) => tensorOf(source, all));
  const working = config.dtype ?? promote(whole.map(({ mergeDtype }) => mergeDtype));
  const hasTokenRows = all.some(({ input, name: theirs }) => input.anatomy.vocabulary.has(theirs));
  const aligned = (vocabulary && hasTokenRows ? alignRows(whole, vocabulary, name) : whole).map(asRead);
  const keeper = all.findIndex(({ input }) => input === donor);
  const { stored, padding } = await matchShapes(name, aligned, keeper < 0 ? undefined : rule, keeper, hasTokenRows);
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
    copied: undefined,
    ...resolved,
  };
}

/** The plan of a tensor that is none of the method's business. */
function copyOf(name: string, { input, name: theirs }: TensorSource): TensorPlan {
  const info = input.tensors.get(theirs)!;
  return {
    name,
    shape: info.shape,
    size: elements(info.shape),
    padding: undefined,
    models: [],
    base: undefined,
    working: "float64",
    output: "float64",
    copied: { ...info, input: input.name, mergeDtype: "float64" },
    options: {},
    modelOptions: [],
  };
}

/** What the weights of the output are, in their order. */
export function outputTensors({ tensors }: MergePlan): TensorEntry[] {
  return tensors.map((tensor) => ({
    name: tensor.name,
    shape: outputShape(tensor),
    dtype: outputDtype(tensor),
  }));
}

/** The tensor of one model; `sources` are those of all models, one of which has it. */
function tensorOf({ input, name }: TensorSource, sources: readonly TensorSource[]): StoredTensor {
  const { tensors } = input;
  const info = tensors.get(name);
  if (info === undefined) {
    const owner = sources.find(({ input: other, name: theirs }) => other.tensors.has(theirs))!.input;
    const missing = [...owner.tensors.keys()].filter((other) => !tensors.has(other)).length;
    const more = missing > 1 ? `, nor ${missing - 1} more tensors of it` : "";
    throw inputError(input.folder, `expected the tensor ${JSON.stringify(name)} of ${owner.name}, found none${more}`);
  }
  const stored = storedTensor(info, input.name);
  if (stored !== undefined) return stored;
  throw inputError(`${info.file}: ${JSON.stringify(name)}`, `expected floating-point weights, found ${info.dtype}`);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
