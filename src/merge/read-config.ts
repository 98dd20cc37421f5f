/**
 * mergekit's configuration file, read as it is: what to merge, how, and into which dtype. Everything that can be known
 * to be wrong without looking at a model is told at once, by line and column. mergekit passes over keys and parameters
 * it does not know, so that a misspelt `select_top_k` quietly merges something else; here they are errors, and with
 * `--like mergekit` warnings.
 */
import { inputErrors, suggestion } from "../errors.ts";
import { readText } from "../formats/files.ts";
import { type KeyPath, parseYaml } from "../formats/yaml.ts";
import { type Complaints, createComplaints, isRecord, isUnset, type PathPart, show } from "./complaints.ts";
import type { MergeConfig, MergeModel } from "./config.ts";
import { MERGE_DTYPES, type MergeDtype } from "./dtypes.ts";
import type { MergeMethod } from "./method.ts";
import { METHODS } from "./methods/index.ts";
import { checkRequired, readParameters } from "./options.ts";

export interface ReadOptions {
  /** `--like mergekit`: unknown keys and parameters are warnings. */
  readonly likeMergekit?: boolean;
}

/** Keys that mergekit has and this version has not. */
const NOT_YET: Readonly<Record<string, string>> = {
  slices: "merging of slices is not supported yet; list whole models under models",
  modules: "merging of modules is not supported yet; list whole models under models",
  tokenizer_source: "bringing models to one vocabulary is not supported yet; all models must have the same tokenizer",
  tokenizer: "bringing models to one vocabulary is not supported yet; all models must have the same tokenizer",
  chat_template:
    "changing the chat template is not supported yet; the output has that of base_model or the first model",
};
/** mergekit's methods that this version has not. */
const METHODS_NOT_YET = (
  "slerp nuslerp multislerp karcher task_arithmetic ties dare_linear dare_ties della della_linear " +
  "breadcrumbs breadcrumbs_ties ram ramplus_tl model_stock nearswap arcee_fusion passthrough"
).split(" ");
const KEYS = ["models", "merge_method", "base_model", "parameters", "dtype", "out_dtype"];
const MODEL_KEYS = ["model", "parameters"];

/** Reads and checks a file; throws one input error with a line for every problem in it. */
export async function readMergeConfig(path: string, options: ReadOptions = {}): Promise<MergeConfig> {
  const document = parseYaml(await readText(path), "1.1");
  if (document.problems.length > 0) {
    throw inputErrors(document.problems.map(({ place, message }) => `${path}:${place}: ${message}`));
  }
  return check(document.value, (at, part) => `${path}:${document.place(at, part)}`, options);
}

/** Checks a configuration that did not come from a file; `where` stands for it in messages. */
export function checkMergeConfig(value: unknown, where: string, options: ReadOptions = {}): MergeConfig {
  return check(value, () => where, options);
}

function check(
  value: unknown,
  place: (path: KeyPath, part: PathPart) => string,
  { likeMergekit = false }: ReadOptions,
): MergeConfig {
  const complaints = createComplaints(place, likeMergekit);
  const config = readDocument(value, complaints);
  if (config === undefined || complaints.errors.length > 0) throw inputErrors(complaints.errors);
  return complaints.warnings.length === 0 ? config : { ...config, warnings: complaints.warnings };
}

function readDocument(document: unknown, complaints: Complaints): MergeConfig | undefined {
  if (!isRecord(document)) {
    complaints.error([], `expected a mapping with the keys merge_method and models, found ${show(document)}`);
    return undefined;
  }
  for (const key of Object.keys(document)) {
    if (KEYS.includes(key) || isUnset(document[key])) continue;
    if (key === "modules" || key === "slices") {
      const both = document.models === undefined ? "" : `expected either models or ${key}, found both; `;
      complaints.error([key], `${both}${NOT_YET[key]}`, "key");
    } else if (NOT_YET[key] !== undefined) complaints.error([key], NOT_YET[key], "key");
    else complaints.unknown([key], `unknown key${suggestion(key, [...KEYS, ...Object.keys(NOT_YET)])}`);
  }
  const method = methodOf(document.merge_method, complaints);
  const baseModel = isUnset(document.base_model) ? undefined : textOf(document.base_model, ["base_model"], complaints);
  const models = modelsOf(document, method, complaints);
  const parameters = readParameters(document.parameters, ["parameters"], method, "merge", complaints);
  const dtype = dtypeOf(document.dtype, "dtype", complaints);
  const outDtype = dtypeOf(document.out_dtype, "out_dtype", complaints);
  if (method === undefined) return undefined;
  const config: MergeConfig = {
    merge_method: method.name,
    models,
    ...(baseModel !== undefined && { base_model: baseModel }),
    ...(parameters !== undefined && { parameters }),
    ...(dtype !== undefined && { dtype }),
    ...(outDtype !== undefined && { out_dtype: outDtype }),
  };
  checkRequired(config, method, complaints);
  if (method.base === "origin" && isUnset(document.base_model)) {
    complaints.error([], `${method.name} needs base_model, the model that the others were trained from; found none`);
  }
  if (method.base === "origin" && models.length > 0 && models.every(({ model }) => model === baseModel)) {
    complaints.error(["models"], `expected at least one model besides base_model, found only ${show(baseModel)}`);
  }
  return config;
}

function methodOf(value: unknown, complaints: Complaints): MergeMethod | undefined {
  const names = METHODS.map(({ name }) => name);
  if (typeof value !== "string") {
    complaints.error(["merge_method"], `expected one of ${names.join(", ")}, found ${show(value)}`);
    return undefined;
  }
  const method = METHODS.find(({ name }) => name === value);
  if (method !== undefined) return method;
  const problem = METHODS_NOT_YET.includes(value)
    ? "this method of mergekit is not supported yet"
    : `unknown method ${JSON.stringify(value)}`;
  complaints.error(["merge_method"], `${problem}; expected one of ${names.join(", ")}${suggestion(value, names)}`);
  return undefined;
}

function modelsOf(
  document: Record<string, unknown>,
  method: MergeMethod | undefined,
  complaints: Complaints,
): MergeModel[] {
  const list = document.models;
  if (!Array.isArray(list) || list.length === 0) {
    // Slices and modules have been refused already; models are not missed then.
    if (!isUnset(list) || (isUnset(document.slices) && isUnset(document.modules))) {
      complaints.error(["models"], `expected a list of models, found ${show(list)}`);
    }
    return [];
  }
  const models: MergeModel[] = [];
  list.forEach((entry: unknown, index) => {
    const path = ["models", index];
    if (!isRecord(entry)) {
      complaints.error(path, `expected a mapping with the key model, found ${show(entry)}`);
      return;
    }
    for (const key of Object.keys(entry)) {
      if (!MODEL_KEYS.includes(key)) complaints.unknown([...path, key], `unknown key${suggestion(key, MODEL_KEYS)}`);
    }
    const model = textOf(entry.model, [...path, "model"], complaints);
    const parameters = readParameters(entry.parameters, [...path, "parameters"], method, "model", complaints);
    if (model === undefined) return;
    if (models.some((other) => other.model === model)) {
      complaints.error([...path, "model"], `expected each model once, found ${JSON.stringify(model)} twice`);
    }
    models.push({ model, ...(parameters !== undefined && { parameters }) });
  });
  return models;
}

function textOf(value: unknown, path: KeyPath, complaints: Complaints): string | undefined {
  if (typeof value === "string" && value.trim() !== "" && !value.includes("\0")) return value;
  complaints.error(path, `expected the folder of a model, found ${show(value)}`);
  return undefined;
}

function dtypeOf(value: unknown, key: string, complaints: Complaints): MergeDtype | undefined {
  if (isUnset(value)) return undefined;
  const dtype = MERGE_DTYPES.find((name) => name === value);
  if (dtype === undefined) {
    const hint = typeof value === "string" ? suggestion(value, MERGE_DTYPES) : "";
    complaints.error([key], `expected one of ${MERGE_DTYPES.join(", ")}, found ${show(value)}${hint}`);
  }
  return dtype;
}
