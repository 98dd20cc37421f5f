/**
 * Settings of a config that count or list layers, for an output whose layers were stacked anew. Every library spells the
 * number of layers in its own way, and lists with an entry for every layer have any name: they are known by their
 * length. Lists of layers' numbers are numbered anew. What says by arithmetic which layer is of which kind (every sixth,
 * the first three) cannot follow, and is told.
 */
import { isJsonNumber, type JsonObject, type JsonValue, jsonNumber, numberOf } from "../../formats/json-document.ts";
import type { MergeInput } from "../inputs/input.ts";
import { languagePath, sectionsOf } from "../inputs/model-config.ts";
import { countLayers } from "../layers.ts";
import type { LayerOrigin } from "../layout.ts";

const COUNT_KEY =
  /^(num_hidden_layers|n_layers?|num_layers|num_transformer_layers|num_blocks|n_blocks?|depth|((num|n)_)?(decoder|encoder)_layers)$/;
/** Any other number of layers that is that of the whole stack, such as `max_window_layers`; these count others. */
const OTHER_COUNTS = /nextn|predict|mtp|shared|dense|every|vision|audio/;
/** Lists that are as long as a small model is deep, and are no lists of layers. */
const NO_LAYER_LIST = /token_id|^architectures$|_limit$|_range$|_section$|_shape$|_size$|_sizes$|pinpoints|labels?$/;
/** Lists of layers' numbers. */
const NUMBERS_KEY = /layers$|layer_(id|idx|ind|num)\w*$|layers_(block_type|idx)$/;

interface Stack {
  readonly donor: MergeInput;
  readonly layers: readonly LayerOrigin[];
}

/** Changes a section in place; `isLanguage` says that it holds the language model's settings. */
export function setLayers(section: JsonObject, depth: number, isLanguage: boolean, { donor, layers }: Stack): void {
  const count = donor.anatomy.layers;
  const keys = countKeys(section, donor, isLanguage);
  const lengths = new Set([count, ...keys.map((key) => wholeNumber(section.get(key)) ?? count)]);
  for (const [key, value] of section) {
    if (!Array.isArray(value) || value.length === 0) continue;
    const listOf = (input: MergeInput): readonly JsonValue[] => {
      const theirs = sectionsOf(input.config)[Math.min(depth, languagePath(input.config).length)]?.get(key);
      return Array.isArray(theirs) ? theirs : value;
    };
    if (lengths.has(value.length) && !NO_LAYER_LIST.test(key)) {
      const entries = layers.map(({ input, layer }) => listOf(input)[layer] ?? value[layer] ?? value.at(-1)!);
      section.set(key, entries);
    } else if (NUMBERS_KEY.test(key) && value.every((entry) => (wholeNumber(entry) ?? count) < count)) {
      const isListed = ({ input, layer }: LayerOrigin): boolean =>
        listOf(input).some((entry) => wholeNumber(entry) === layer);
      section.set(
        key,
        layers.flatMap((origin, layer) => (isListed(origin) ? [jsonNumber(layer)] : [])),
      );
    }
  }
  for (const key of keys) section.set(key, jsonNumber(layers.length));
}

/** The keys that count the layers of the stack that slices cut; the usual one where a config leaves its number out. */
function countKeys(section: JsonObject, { anatomy, tensors }: MergeInput, isLanguage: boolean): readonly string[] {
  const counts = [...section].flatMap(([key, value]) => {
    const number = wholeNumber(value);
    const isEqual = number === anatomy.layers && /layers?$/.test(key) && !OTHER_COUNTS.test(key);
    return number !== undefined && (COUNT_KEY.test(key) || isEqual) ? [key] : [];
  });
  const stacks = [...countLayers(tensors.keys()).keys()];
  const sideOf = (name: string): string | undefined => /(?:^|\.)(encoder|decoder)(?:\.|$)/.exec(name)?.[1];
  const sides = new Set(stacks.map(sideOf).filter((side) => side !== undefined));
  if (sides.size < 2) return counts.length > 0 || !isLanguage ? counts : ["num_hidden_layers"];
  // An encoder and a decoder: what says neither counts the encoder's layers.
  const isDecoder = sideOf(anatomy.stack!) === "decoder";
  const own = counts.filter((key) => key.includes("decoder") === isDecoder);
  if (own.length > 0 || !isLanguage) return own;
  return [isDecoder ? "num_decoder_layers" : "num_layers"];
}

/** Every so many layers, of the kind that the number within the period says. */
const PERIOD_KEY = /(_pattern|_interval|_period|_freq|_step|every_n_layers)$/;
/** The first or last so many layers. */
const BOUND_KEY = /^(first_k_dense_replace|max_window_layers|num_kv_shared_layers|moe_layer_start_index)$/;
const LAYER_WORDS = /layer|sparse|sliding|attention|dense|moe|rope/;

/** Sentences about settings that say by layers' numbers what the layers are. */
export function layerSettingWarnings({ donor, layers }: Stack): string[] {
  const settings = sectionsOf(donor.config).at(-1)!;
  const isListed = settings.has("layer_types");
  const found: string[] = [];
  for (const [key, value] of settings) {
    const number = wholeNumber(value);
    if (number === undefined) continue;
    const isPeriod = PERIOD_KEY.test(key) && LAYER_WORDS.test(key) && number > 1;
    const isBound = BOUND_KEY.test(key) && number > 0 && number < donor.anatomy.layers;
    if ((!isPeriod && !isBound) || (isListed && /sliding|attention|window/.test(key))) continue;
    const kind = (layer: number): number => (isPeriod ? layer % number : Number(layer < number));
    const moved = layers.findIndex(({ layer }, place) => kind(layer) !== kind(place));
    if (moved < 0) continue;
    found.push(
      `config.json of ${donor.name}: ${key} (${number}) says by their numbers which layers are which, ` +
        `and layer ${moved} of the output was layer ${layers[moved]!.layer}`,
    );
  }
  return found;
}

function wholeNumber(value: JsonValue | undefined): number | undefined {
  return isJsonNumber(value) && Number.isInteger(numberOf(value)) ? numberOf(value) : undefined;
}
