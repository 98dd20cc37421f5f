/**
 * Qwen1.5, Qwen2 and Qwen2.5: biases on query, key and value, often a tied head, and a sliding window that published
 * checkpoints switch off. Where it is on, `layer_types` says which layers have it, or else those from
 * `max_window_layers` on.
 */
import type { Architecture } from "./architecture.ts";
import type { ConfigFields } from "./config-fields.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { llamaDecoder } from "./llama-decoder.ts";

/** What the published code assumes where the config is silent. */
const DEFAULT_KEY_VALUE_HEADS = 32;
const DEFAULT_WINDOW = 4096;
const DEFAULT_MAX_WINDOW_LAYERS = 28;

export const qwen2: Architecture = {
  name: "qwen2",
  summary: "Qwen1.5, Qwen2, Qwen2.5: biases on query, key and value; tied heads; optional sliding window",
  source: "https://arxiv.org/abs/2407.10671",
  network: (fields) => {
    for (const bias of ["attention_bias", "mlp_bias"]) fields.only(bias, [false]);
    const config = readDecoderConfig(fields, {
      keyValueHeads: DEFAULT_KEY_VALUE_HEADS,
      rotaryBase: 10_000,
      normEpsilon: 1e-6,
    });
    const windows = readWindows(fields, config.layers);
    return llamaDecoder(config, {
      inputBias: true,
      outputBias: false,
      layerBias: false,
      window: (layer) => windows[layer]!,
    });
  },
};

/** The window of every layer. */
function readWindows(fields: ConfigFields, layers: number): (number | null)[] {
  const none: null[] = new Array(layers).fill(null);
  if (!fields.boolean("use_sliding_window", false)) return none;
  if (fields.has("sliding_window") && fields.value("sliding_window") === undefined) return none;
  const window = fields.count("sliding_window", DEFAULT_WINDOW);
  const types = fields.value("layer_types");
  if (types === undefined) {
    // Zero is a common value here (every layer), so this is no `count`.
    const first = fields.value("max_window_layers") ?? DEFAULT_MAX_WINDOW_LAYERS;
    if (!Number.isSafeInteger(first) || (first as number) < 0) {
      fields.refuse("max_window_layers", `expected a whole number, found ${JSON.stringify(first)}`);
    }
    return none.map((_, layer) => (layer >= (first as number) ? window : null));
  }
  if (!Array.isArray(types) || types.length !== layers) {
    fields.refuse("layer_types", `expected a list of ${layers} names, one a layer`);
  }
  return (types as readonly unknown[]).map((type) => {
    if (type === "full_attention") return null;
    if (type === "sliding_attention") return window;
    return fields.refuse(
      "layer_types",
      `${JSON.stringify(type)} is not supported (only "full_attention" or "sliding_attention")`,
    );
  });
}
