/** What is merged, as the configuration lists it: whole models, or slices of their layers. */
import { suggestion } from "../errors.ts";
import type { KeyPath } from "../formats/yaml.ts";
import { type Complaints, isRecord, isUnset, show } from "./complaints.ts";
import type { MergeModel, MergeSlice, SliceSource } from "./config.ts";
import type { MergeMethod } from "./method.ts";
import { readParameters } from "./options.ts";
import type { Parameters } from "./parameters.ts";

const MODEL_KEYS = ["model", "parameters"];
const SOURCE_KEYS = ["model", "layer_range", "parameters"];
const SLICE_KEYS = ["sources", "base_model", "parameters", "residual_weight"];

/** A list of models; empty where something is wrong with it as a whole. */
export function readModels(list: unknown, method: MergeMethod | undefined, complaints: Complaints): MergeModel[] {
  if (!Array.isArray(list) || list.length === 0) {
    complaints.error(["models"], `expected a list of models, found ${show(list)}`);
    return [];
  }
  const models: MergeModel[] = [];
  list.forEach((entry: unknown, index) => {
    const model = readModel(entry, ["models", index], MODEL_KEYS, method, complaints);
    if (model === undefined) return;
    if (models.some((other) => other.model === model.model)) {
      const path = ["models", index, "model"];
      complaints.error(path, `expected each model once, found ${JSON.stringify(model.model)} twice`);
    }
    models.push(model);
  });
  return models;
}

export function readSlices(list: unknown, method: MergeMethod | undefined, complaints: Complaints): MergeSlice[] {
  if (!Array.isArray(list) || list.length === 0) {
    complaints.error(["slices"], `expected a list of slices, found ${show(list)}`);
    return [];
  }
  const slices: MergeSlice[] = [];
  list.forEach((entry: unknown, index) => {
    const slice = readSlice(entry, ["slices", index], method, complaints);
    if (slice === undefined) return;
    checkEmpty(slice, index, list.length, complaints);
    slices.push(slice);
  });
  return slices;
}

/**
 * A slice without layers gives what comes before them, as the first one from the beginning of a model, or what follows
 * them, as the last one.
 */
function checkEmpty({ sources }: MergeSlice, index: number, slices: number, complaints: Complaints): void {
  const [first, end] = sources[0]?.layer_range ?? [0, 1];
  if (first < end) return;
  if (slices > 1 && ((index === 0 && end === 0) || index === slices - 1)) return;
  const uses = "an empty one is the last slice, for final norm and head, or [0, 0] as the first, for the embeddings";
  complaints.error(
    ["slices", index, "sources", 0, "layer_range"],
    `expected a range of at least one layer, found [${first}, ${end}]; ${uses}`,
  );
}

function readSlice(
  entry: unknown,
  path: KeyPath,
  method: MergeMethod | undefined,
  complaints: Complaints,
): MergeSlice | undefined {
  if (!isRecord(entry) || !Array.isArray(entry.sources) || entry.sources.length === 0) {
    complaints.error(path, `expected a mapping with a list of sources, found ${show(entry)}`);
    return undefined;
  }
  refuseUnknown(entry, path, SLICE_KEYS, complaints);
  if (!isUnset(entry.residual_weight)) complaints.warn([...path, "residual_weight"], "has no effect", "key");
  const sources: SliceSource[] = [];
  entry.sources.forEach((one: unknown, index: number) => {
    const source = readSource(one, [...path, "sources", index], method, complaints);
    if (source === undefined) return;
    const [first] = sources;
    if (first !== undefined && layersOf(first) !== layersOf(source)) {
      const found = `found ${layersOf(first)} and ${layersOf(source)}`;
      const at = [...path, "sources", index, "layer_range"];
      complaints.error(at, `expected as many layers of every source of a slice, ${found}`);
    }
    sources.push(source);
  });
  const base = isUnset(entry.base_model)
    ? undefined
    : readFolder(entry.base_model, [...path, "base_model"], complaints);
  const parameters = readParameters(entry.parameters, [...path, "parameters"], method, "merge", complaints);
  return { sources, ...(base !== undefined && { base_model: base }), ...withParameters(parameters) };
}

function readSource(
  entry: unknown,
  path: KeyPath,
  method: MergeMethod | undefined,
  complaints: Complaints,
): SliceSource | undefined {
  const model = readModel(entry, path, SOURCE_KEYS, method, complaints);
  if (model === undefined) return undefined;
  const range: unknown = (entry as Record<string, unknown>).layer_range;
  const at = [...path, "layer_range"];
  const [first, end, ...rest] = Array.isArray(range) ? range : [];
  if (!Number.isInteger(first) || !Number.isInteger(end) || rest.length > 0 || first < 0) {
    complaints.error(at, `expected [first layer, layer after the last], found ${show(range)}`);
    return undefined;
  }
  if (first > end) {
    complaints.error(at, `expected a range of at least one layer, found [${first}, ${end}]`);
    return undefined;
  }
  return { ...model, layer_range: [first, end] };
}

function layersOf({ layer_range: [first, end] }: SliceSource): number {
  return end - first;
}

function readModel(
  entry: unknown,
  path: KeyPath,
  keys: readonly string[],
  method: MergeMethod | undefined,
  complaints: Complaints,
): MergeModel | undefined {
  if (!isRecord(entry)) {
    complaints.error(path, `expected a mapping with the key model, found ${show(entry)}`);
    return undefined;
  }
  refuseUnknown(entry, path, keys, complaints);
  const model = readFolder(entry.model, [...path, "model"], complaints);
  const parameters = readParameters(entry.parameters, [...path, "parameters"], method, "model", complaints);
  return model === undefined ? undefined : { model, ...withParameters(parameters) };
}

/** A folder, or the mapping that mergekit makes of it in model cards: `{ model: { path, revision }, lora: { path } }`. */
export function readFolder(value: unknown, path: KeyPath, complaints: Complaints): string | undefined {
  if (typeof value === "string" && value.trim() !== "" && !value.includes("\0")) return value;
  if (!isRecord(value)) {
    complaints.error(path, `expected the folder of a model, found ${show(value)}`);
    return undefined;
  }
  refuseUnknown(value, path, REFERENCE_KEYS, complaints);
  if (!isUnset(value.override_architecture))
    complaints.warn([...path, "override_architecture"], "has no effect", "key");
  if (!isUnset(value.revision)) complaints.warn([...path, "revision"], "has no effect; folders have none", "key");
  const [inner] = ["model", "path"].filter((key) => !isUnset(value[key]));
  const model = readFolder(inner === undefined ? undefined : value[inner], [...path, inner ?? "model"], complaints);
  if (model === undefined || isUnset(value.lora)) return model;
  const adapter = readFolder(value.lora, [...path, "lora"], complaints);
  return adapter === undefined ? undefined : `${model}+${adapter}`;
}

const REFERENCE_KEYS = ["model", "lora", "path", "revision", "override_architecture"];

export function refuseUnknown(
  entry: Record<string, unknown>,
  path: KeyPath,
  keys: readonly string[],
  complaints: Complaints,
): void {
  for (const key of Object.keys(entry)) {
    if (!keys.includes(key)) complaints.unknown([...path, key], `unknown key${suggestion(key, keys)}`);
  }
}

function withParameters(parameters: Parameters | undefined): { parameters?: Parameters } {
  return parameters === undefined ? {} : { parameters };
}
