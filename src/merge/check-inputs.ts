/**
 * Whether a method can merge what a configuration lists: as many models as it takes, a base where it needs one, and
 * every option that has no default.
 */
import type { KeyPath } from "../formats/yaml.ts";
import type { Complaints } from "./complaints.ts";
import type { MergeConfig, MergeModel } from "./config.ts";
import type { MergeMethod } from "./method.ts";
import { requiredOptions } from "./options.ts";
import { isGradient, type Parameters } from "./parameters.ts";

/** Models that are merged with one another: those of `models`, or the sources of a slice. */
interface InputGroup {
  readonly path: KeyPath;
  readonly models: readonly MergeModel[];
  readonly base: string | undefined;
  /** Settings for all of them, innermost first. */
  readonly scopes: readonly (Parameters | undefined)[];
}

export function checkInputs(config: MergeConfig, method: MergeMethod, complaints: Complaints): void {
  const groups = inputGroups(config).filter(({ models }) => models.length > 0);
  const needsBase = method.base === "origin" || method.base === "first";
  if (needsBase && groups.some(({ base }) => base === undefined)) {
    const meaning = method.base === "origin" ? "the model that the others were trained from" : "the model at t = 0";
    complaints.error([], `${method.name} needs base_model, ${meaning}; found none`);
    return;
  }
  for (const group of groups) {
    checkCount(group, method, complaints);
    checkOptions(group, method, complaints);
  }
  checkLists(config, method, complaints);
}

/** A list for all models is a gradient over the layers: as long as the list of models it may be meant for them. */
function checkLists({ models, parameters = {} }: MergeConfig, method: MergeMethod, complaints: Complaints): void {
  for (const [key, setting] of Object.entries(parameters)) {
    if (!isGradient(setting) || !Object.hasOwn(method.modelOptions.shape, key)) continue;
    if (setting.length < 2 || setting.length !== models.length) continue;
    const meaning =
      "is a gradient over the layers, the same for every model; for a value each write it under the models";
    complaints.warn(["parameters", key], meaning);
  }
}

function inputGroups(config: MergeConfig): InputGroup[] {
  if (config.slices === undefined) {
    return [{ path: ["models"], models: config.models, base: config.base_model, scopes: [config.parameters] }];
  }
  return config.slices.map((slice, index) => ({
    path: ["slices", index, "sources"],
    models: slice.sources,
    base: slice.base_model ?? config.base_model,
    scopes: [slice.parameters, config.parameters],
  }));
}

function checkCount({ path, models, base }: InputGroup, method: MergeMethod, complaints: Complaints): void {
  const { least, most = Number.POSITIVE_INFINITY } = method.inputs ?? { least: 1 };
  const isListed = models.some(({ model }) => model === base);
  const isOrigin = method.base === "origin" || method.base === "optional";
  const others = models.filter(({ model }) => model !== base).length;
  const count = isOrigin || base === undefined ? others : models.length + Number(!isListed);
  if (method.base === "first" && !isListed) {
    const found = `found ${models.map(({ model }) => JSON.stringify(model)).join(" and ")}`;
    complaints.error(path, `${method.name} merges base_model, ${JSON.stringify(base)}, with one other model; ${found}`);
  } else if (count < least || count > most) {
    const expected = least === most ? `${least}` : count < least ? `at least ${least}` : `at most ${most}`;
    const beside = isOrigin && base !== undefined ? " besides base_model" : "";
    const noun = expected === "1" || expected === "at least 1" ? "model" : "models";
    complaints.error(path, `${method.name} merges ${expected} ${noun}${beside}, found ${count}`);
  }
}

/** Only filters can hide an option until a tensor asks for it. */
function checkOptions({ path, models, base, scopes }: InputGroup, method: MergeMethod, complaints: Complaints): void {
  const isGiven = (key: string): boolean => scopes.some((scope) => scope?.[key] !== undefined);
  for (const key of requiredOptions(method.options)) {
    if (!isGiven(key)) complaints.error([], `${method.name} needs the parameter ${key}; set it under parameters`);
  }
  for (const key of requiredOptions(method.modelOptions)) {
    if (isGiven(key)) continue;
    models.forEach(({ model, parameters }, index) => {
      if (method.base !== "model" && model === base) return;
      if (parameters?.[key] === undefined) {
        complaints.error([...path, index], `${method.name} needs the parameter ${key} of ${JSON.stringify(model)}`);
      }
    });
    if (method.base === "model" && base !== undefined && models.every(({ model }) => model !== base)) {
      complaints.error(
        ["base_model"],
        `${method.name} counts base_model as one more model, and it has no ${key}; list it under models with one, or leave base_model out`,
      );
    }
  }
}
