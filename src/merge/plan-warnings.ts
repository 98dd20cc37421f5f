/** Settings that are allowed and do nothing, or hardly what was meant: what the user should hear before a merge. */
import type { MergeConfig } from "./config.ts";
import { countLayers } from "./layers.ts";
import type { TensorLayout } from "./layout.ts";
import type { MergeMethod } from "./method.ts";
import type { ResolvedOptions } from "./options.ts";
import { filtersOf, isGradient } from "./parameters.ts";

interface ResolvedTensor extends ResolvedOptions {
  readonly name: string;
}

export function settingWarnings(config: MergeConfig, layout: readonly TensorLayout[]): string[] {
  return [...unmetFilters(config, layout), ...longGradients(config, layout)];
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

/** Filters that are part of no tensor's name: misspelt, or another architecture's. */
function unmetFilters({ models, slices = [], parameters }: MergeConfig, layout: readonly TensorLayout[]): string[] {
  const names = layout.flatMap(({ name, models: sources, base }) => [
    name,
    ...[...sources, ...(base === undefined ? [] : [base])].map((source) => source.name),
  ]);
  const scopes = [parameters, ...slices.map((slice) => slice.parameters)];
  const ofModels = [...models, ...slices.flatMap(({ sources }) => sources)].map((model) => model.parameters);
  const unmet = new Map<string, string>();
  for (const scope of [...scopes, ...ofModels]) {
    for (const [key, setting] of Object.entries(scope ?? {})) {
      for (const filter of filtersOf(setting)) {
        if (!unmet.has(filter) && names.every((name) => !name.includes(filter))) unmet.set(filter, key);
      }
    }
  }
  return [...unmet].map(([filter, key]) => `${key}: the filter ${JSON.stringify(filter)} is part of no tensor's name`);
}

/** Each remark of the method once, with the first tensor it was made about. */
export function remarks(method: MergeMethod, tensors: readonly ResolvedTensor[]): string[] {
  const found = new Map<string, string>();
  for (const { name, options, modelOptions } of tensors) {
    const remark = method.remark?.(options, modelOptions);
    if (remark !== undefined && !found.has(remark)) found.set(remark, `${JSON.stringify(name)}: ${remark}`);
  }
  return [...found.values()];
}
