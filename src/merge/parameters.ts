/**
 * mergekit's little language for parameters: a value, a gradient over the depth of the model, or a list of values with
 * filters on the tensor's name. Every tensor gets one value of each option out of it.
 */
import { type Table, tableOf } from "../table.ts";

/** A number, a switch or a word; numbers and switches may be written as text. */
export type ParameterValue = number | boolean | string;

/** A value, or a gradient: values at evenly spaced depths, numbers interpolated between them. */
export type Setting = ParameterValue | readonly ParameterValue[];

export interface FilteredSetting {
  /** A part of the tensor's name; `*` or none fits every tensor. */
  readonly filter?: string | undefined;
  readonly value: Setting;
}

/** Of a list with filters the first that fits holds. */
export type ParameterSetting = Setting | FilteredSetting | readonly FilteredSetting[];

export type Parameters = Readonly<Record<string, ParameterSetting>>;

/**
 * Where a tensor stands in the depth of the model: 0 in the first layer to 1 in the last, also 1 where there is only
 * one layer; 0 for all that lies outside of the layers, the head included.
 */
export type Depth = number;

const WORDS: Table<boolean> = tableOf({
  yes: true,
  true: true,
  on: true,
  no: false,
  false: false,
  off: false,
});

/** What text stands for: `"0.5"` a number, `"yes"` a switch; all else is itself. */
export function plainValue(value: ParameterValue): ParameterValue {
  if (typeof value !== "string") return value;
  const text = value.trim();
  if (text !== "" && Number.isFinite(Number(text))) return Number(text);
  return WORDS[text.toLowerCase()] ?? value;
}

/** The value a setting has for one tensor, or undefined where no filter fits. */
export function resolveSetting(setting: ParameterSetting, tensor: string, depth: Depth): ParameterValue | undefined {
  if (!isFiltered(setting)) return atDepth(setting, depth);
  for (const { filter, value } of [setting].flat()) {
    if (filter === undefined || filter === "*" || tensor.includes(filter)) return atDepth(value, depth);
  }
  return undefined;
}

/** The parts of names that a setting's filters ask for. */
export function filtersOf(setting: ParameterSetting): string[] {
  if (!isFiltered(setting)) return [];
  return [setting].flat().flatMap(({ filter }) => (filter === undefined || filter === "*" ? [] : [filter]));
}

export function isFiltered(setting: ParameterSetting): setting is FilteredSetting | readonly FilteredSetting[] {
  const first: unknown = Array.isArray(setting) ? setting[0] : setting;
  return typeof first === "object" && first !== null;
}

function atDepth(setting: Setting, depth: Depth): ParameterValue {
  if (!isGradient(setting)) return plainValue(setting);
  const values = setting.map(plainValue);
  const place = depth * (values.length - 1);
  const below = Math.min(Math.floor(place), values.length - 1);
  const from = values[below]!;
  const to = values[Math.min(below + 1, values.length - 1)]!;
  if (typeof from !== "number" || typeof to !== "number") return from;
  return from + (place - below) * (to - from);
}

export function isGradient(setting: ParameterSetting): setting is readonly ParameterValue[] {
  return Array.isArray(setting) && !isFiltered(setting);
}
