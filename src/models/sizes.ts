/**
 * The sizes of a model, whatever its architecture: by the fields that all configs have, and by the names and shapes of
 * its tensors. What work with it takes follows from them, also where nothing here can compute with it.
 */
import type { WeightShape } from "./architecture.ts";

export interface ModelSizes {
  readonly parameters: number;
  /** Those that take part in one token: of a mixture of experts the chosen ones. */
  readonly activeParameters: number;
  /** Of the largest layer, all its experts counted. */
  readonly layerParameters: number;
  /** Outside of layers: embedding, head, the last norm. */
  readonly outerParameters: number;
  readonly layers: number;
  readonly hiddenSize: number;
  /** What a token's feed-forward parts have together: of a mixture of experts the chosen ones. */
  readonly intermediateSize: number;
  /** Of a mixture of experts how many a token goes to; 0 where there are none. */
  readonly expertsPerToken: number;
  readonly vocabularySize: number;
  /** Products with a weight matrix in the layers, by their last names (`q_proj`), experts left out: [in + out] of all. */
  readonly linears: ReadonlyMap<string, number>;
}

type Fields = Readonly<Record<string, unknown>>;

/** Names of expert weights, in checkpoints of any kind. */
const EXPERT = /\.experts\./;
const LAYER = /(?:^|\.)(?:layers|h|blocks)\.(\d+)\./;

/** `config` is the content of `config.json`; a wrapper's text part counts. */
export function modelSizes(config: Fields, shapes: Iterable<WeightShape>): ModelSizes {
  const fields = isRecord(config.text_config) ? { ...config, ...config.text_config } : config;
  const layers = new Map<string, number>();
  const linears = new Map<string, number>();
  let parameters = 0;
  let ofExperts = 0;
  let vocabularySize = 0;
  let hiddenSize = 0;
  for (const { name, shape } of shapes) {
    const count = shape.reduce((product, extent) => product * extent, 1);
    parameters += count;
    const isExpert = EXPERT.test(name);
    if (isExpert) ofExperts += count;
    const [, layer] = LAYER.exec(name) ?? [];
    if (layer !== undefined) layers.set(layer, (layers.get(layer) ?? 0) + count);
    const [rows = 0, columns = 0] = shape;
    if (layer !== undefined && !isExpert && shape.length === 2) {
      const last = name.split(".").at(-2) ?? name;
      linears.set(last, (linears.get(last) ?? 0) + rows + columns);
    }
    if (layer === undefined && shape.length === 2 && rows > vocabularySize)
      [vocabularySize, hiddenSize] = [rows, columns];
  }
  const experts = numberOf(fields, "num_local_experts", "num_experts", "n_routed_experts");
  const chosen = numberOf(fields, "num_experts_per_tok");
  const isMixture = ofExperts > 0 && experts !== null && chosen !== null;
  const intermediate = numberOf(fields, "intermediate_size", "n_inner") ?? 4 * hiddenSize;
  const ofExpert = numberOf(fields, "moe_intermediate_size") ?? intermediate;
  return {
    parameters,
    activeParameters: isMixture ? parameters - Math.round(ofExperts * (1 - chosen / experts)) : parameters,
    layerParameters: Math.max(0, ...layers.values()),
    outerParameters: parameters - [...layers.values()].reduce((sum, count) => sum + count, 0),
    layers: numberOf(fields, "num_hidden_layers", "n_layer") ?? layers.size,
    hiddenSize: numberOf(fields, "hidden_size", "n_embd") ?? hiddenSize,
    intermediateSize: isMixture ? chosen * ofExpert : intermediate,
    expertsPerToken: isMixture ? chosen : 0,
    vocabularySize: numberOf(fields, "vocab_size") ?? vocabularySize,
    linears,
  };
}

function numberOf(fields: Fields, ...names: readonly string[]): number | null {
  for (const name of names) {
    const value = fields[name];
    if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
  }
  return null;
}

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
