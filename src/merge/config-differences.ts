/**
 * Settings by which configs differ although the shapes agree. Weights that were trained with another rotary base, number
 * of heads or activation mean something else; the result has the settings of one model, and nothing in its tensors
 * shows what the others were trained with.
 */

import { isJsonNumber, type JsonObject, type JsonValue, plainJson } from "../formats/json-document.ts";
import { canonicalJson } from "../formats/json-text.ts";
import type { MergeInput } from "./inputs/input.ts";
import { sectionsOf } from "./inputs/model-config.ts";

/** What says nothing of the numbers: names, versions, training, tokens, and what a merge settles itself. */
const IRRELEVANT =
  /^(_|transformers_version|torch_dtype|dtype|model_type|use_cache|architectures|auto_map|task_specific_params|vocab_size|max_position_embeddings|model_max_length|initializer_\w+|pretraining_tp|tie_word_embeddings|num_hidden_layers|n_layers?|num_layers|layer_types|max_window_layers|id2label|label2id|problem_type|torchscript|unsloth_\w+|quantization_config|return_dict|output_\w+|chunk_size_feed_forward|is_decoder|is_encoder_decoder|attn_implementation|name_or_path)$|token_id|token_index|dropout|_pdrop$|(^|_)init(_|$)|loss|aux|gradient|pad_token|_ids$/;
/** Settings whose defaults are old and other ones than most models have: one that is there differs from one that is not. */
const TOLD = /^(rope_theta|rope_scaling|sliding_window|partial_rotary_factor)$/;

/** A sentence for every model whose settings are not those of `donor`. */
export function configDifferences(donor: MergeInput, inputs: readonly MergeInput[]): string[] {
  const own = settingsOf(donor.config);
  return inputs.flatMap(({ name, config }) => {
    if (config.size === 0 || donor.config.size === 0) return [];
    const theirs = settingsOf(config);
    const keys = [...new Set([...own.keys(), ...theirs.keys()])].sort();
    const differing = keys.filter((key) => {
      const [a, b] = [own.get(key), theirs.get(key)];
      if (a === undefined || b === undefined) return TOLD.test(key) && (a ?? b) !== "null";
      return a !== b;
    });
    if (differing.length === 0) return [];
    const list = differing.map((key) => `${key} (${show(theirs.get(key))}, there ${show(own.get(key))})`).join(", ");
    return [`${name}: its config differs from that of ${donor.name}, which the result has, in ${list}`];
  });
}

const LONGEST = 60;

function show(value: string | undefined): string {
  if (value === undefined) return "absent";
  return value.length > LONGEST ? `${value.slice(0, LONGEST - 3)}...` : value;
}

/** Settings that decide what the weights compute, those of the language model before those around it. */
function settingsOf(config: JsonObject): ReadonlyMap<string, string> {
  const settings = new Map<string, string>();
  const put = (key: string, value: JsonValue): void => {
    if (!IRRELEVANT.test(key))
      settings.set(key, isJsonNumber(value) ? String(Number(value.literal)) : canonicalJson(plainJson(value)));
  };
  const kind = config.get("model_type");
  if (typeof kind === "string") settings.set("model_type", kind);
  for (const section of sectionsOf(config)) {
    for (const [key, value] of section) {
      if (!(value instanceof Map)) put(key, value);
      else if (ROTARY.test(key)) {
        // Newer versions keep the rotary base in here, older ones beside it.
        const base = value.get("rope_theta");
        if (base !== undefined) put("rope_theta", base);
        const form = value.get("rope_type") ?? value.get("type") ?? "default";
        if (form !== "default") put("rope_scaling", withoutKeys(value, ["type", "rope_theta"]).set("rope_type", form));
      }
      // Other sections are compared where they are the language model's, as all of `sectionsOf`.
    }
  }
  return settings;
}

const ROTARY = /^rope_(parameters|scaling)$/;

function withoutKeys(value: JsonObject, keys: readonly string[]): JsonObject {
  return new Map([...value].filter(([key]) => !keys.includes(key)));
}
