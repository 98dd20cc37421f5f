/** The sliding window of every layer, null where a layer sees everything before it. */
import { excerptOf } from "../excerpt.ts";
import type { ConfigFields } from "./config-fields.ts";

type LayerType = "full_attention" | "sliding_attention";

/** What the published code assumes where the config is silent. */
const DEFAULT_WINDOW = 4096;
const DEFAULT_MAX_WINDOW_LAYERS = 28;

/** One window for all layers; `layer_types`, which newer configs may have, must say the same. */
export function uniformWindows(fields: ConfigFields, layers: number, window: number | null): (number | null)[] {
  const expected = window === null ? "full_attention" : "sliding_attention";
  const other = readLayerTypes(fields, layers)?.find((type) => type !== expected);
  if (other !== undefined) {
    fields.lack("layer_types", `${excerptOf(other)} is not supported here (only ${excerptOf(expected)})`);
  }
  return new Array(layers).fill(window);
}

/**
 * Qwen's windows, which `use_sliding_window` switches on and published checkpoints switch off: `layer_types` says which
 * layers have them, or else those from `max_window_layers` on.
 */
export function switchedWindows(fields: ConfigFields, layers: number): (number | null)[] {
  const limit = fields.countOrNull("sliding_window", DEFAULT_WINDOW);
  const window = fields.boolean("use_sliding_window", false) ? limit : null;
  const types = readLayerTypes(fields, layers);
  if (types !== undefined) return windowsOf(fields, types, window);
  // Zero is a common value here (every layer), so this is no `count`.
  const first = fields.value("max_window_layers") ?? DEFAULT_MAX_WINDOW_LAYERS;
  if (!Number.isSafeInteger(first) || (first as number) < 0) {
    fields.refuse("max_window_layers", `expected a whole number, found ${excerptOf(first)}`);
  }
  return Array.from({ length: layers }, (_, layer) => (layer >= (first as number) ? window : null));
}

/**
 * SmolLM3's windows, which `use_sliding_window` switches on: `layer_types` says which layers have them, or else those
 * that `isWindowed` says.
 */
export function listedWindows(fields: ConfigFields, isWindowed: readonly boolean[]): (number | null)[] {
  const limit = fields.countOrNull("sliding_window", null);
  const window = fields.boolean("use_sliding_window", false) ? limit : null;
  const types = readLayerTypes(fields, isWindowed.length);
  if (types !== undefined) return windowsOf(fields, types, window);
  return isWindowed.map((windowed) => (windowed ? window : null));
}

/** Gemma 2's windows: every other layer has one, the first included, unless `layer_types` says otherwise. */
export function alternatingWindows(fields: ConfigFields, layers: number): (number | null)[] {
  const window = fields.countOrNull("sliding_window", DEFAULT_WINDOW);
  const types = readLayerTypes(fields, layers);
  if (types !== undefined) return windowsOf(fields, types, window);
  return Array.from({ length: layers }, (_, layer) => (layer % 2 === 0 ? window : null));
}

/**
 * The windows of Gemma 3 and its kind: every `sliding_window_pattern`-th layer sees everything, the others have one,
 * unless `layer_types` says otherwise. The layers differ in more than that, so a missing window is an error.
 */
export function periodicWindows(fields: ConfigFields, layers: number, period: number): (number | null)[] {
  const every = fields.count("sliding_window_pattern", period);
  const window = fields.countOrNull("sliding_window", DEFAULT_WINDOW);
  const types =
    readLayerTypes(fields, layers) ??
    Array.from({ length: layers }, (_, layer) => ((layer + 1) % every === 0 ? "full_attention" : "sliding_attention"));
  return windowsOf(fields, types, window);
}

function windowsOf(fields: ConfigFields, types: readonly LayerType[], window: number | null): (number | null)[] {
  if (window === null && types.includes("sliding_attention")) {
    const field = fields.value("layer_types") === undefined ? "sliding_window" : "layer_types";
    fields.refuse(field, '"sliding_attention" needs a sliding window, and the config has none switched on');
  }
  return types.map((type) => (type === "sliding_attention" ? window : null));
}

function readLayerTypes(fields: ConfigFields, layers: number): LayerType[] | undefined {
  const types = fields.value("layer_types");
  if (types === undefined) return undefined;
  if (!Array.isArray(types) || types.length !== layers) {
    fields.refuse("layer_types", `expected a list of ${layers} names, one a layer`);
  }
  return (types as readonly unknown[]).map((type) => {
    if (type === "full_attention" || type === "sliding_attention") return type;
    const problem = `${excerptOf(type)} is not supported (only "full_attention" or "sliding_attention")`;
    return typeof type === "string" ? fields.lack("layer_types", problem) : fields.refuse("layer_types", problem);
  });
}
