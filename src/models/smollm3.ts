/** SmolLM3: Llama's decoder in which every fourth layer turns nothing and knows positions from the others alone. */
import { excerptOf } from "../excerpt.ts";
import type { Architecture } from "./architecture.ts";
import type { ConfigFields } from "./config-fields.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { listedWindows } from "./layer-windows.ts";
import { llamaDecoder } from "./llama-decoder.ts";

/** What the published code assumes where the config is silent. */
const DEFAULT_KEY_VALUE_HEADS = 4;
const DEFAULT_INTERVAL = 4;

export const smollm3: Architecture = {
  name: "smollm3",
  summary: "SmolLM3: grouped heads, every fourth layer without rotary positions, tied head",
  source: "https://huggingface.co/blog/smollm3",
  network: (fields) => {
    // Products cut into so many parts and joined again: the same numbers up to rounding.
    fields.count("pretraining_tp", 1);
    const config = readDecoderConfig(fields, {
      keyValueHeads: DEFAULT_KEY_VALUE_HEADS,
      rotaryBase: 2_000_000,
      normEpsilon: 1e-6,
      tied: true,
      reads: ["no_rope_layers"],
    });
    const turns = readTurns(fields, config.layers);
    const attentionBias = fields.boolean("attention_bias", false);
    return llamaDecoder(config, {
      inputBias: attentionBias,
      outputBias: attentionBias,
      layerBias: fields.boolean("mlp_bias", false),
      windows: listedWindows(
        fields,
        turns.map((turn) => !turn),
      ),
      turns,
    });
  },
};

/** Whether positions turn a layer's queries and keys: 1 means that they do, in spite of the field's name. */
function readTurns(fields: ConfigFields, layers: number): boolean[] {
  const interval = fields.count("no_rope_layer_interval", DEFAULT_INTERVAL);
  const listed = fields.value("no_rope_layers");
  if (listed === undefined) return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0);
  const isList = Array.isArray(listed) && listed.every((turn) => turn === 0 || turn === 1);
  if (!isList || listed.length !== layers) {
    fields.refuse("no_rope_layers", `expected a list of ${layers} zeros and ones, found ${excerptOf(listed)}`);
  }
  return (listed as readonly number[]).map((turn) => turn === 1);
}
