/** The architectures, and how a model folder is opened. To add one: a file beside this one, and a line in the list. */
import { join } from "node:path";
import { Limitation, suggestion } from "../errors.ts";
import { excerptOf } from "../excerpt.ts";
import { readJson } from "../formats/files.ts";
import { NO_OUTLINES, type Outlines, openWeights } from "../formats/weights.ts";
import { createGraph, elements, input } from "../graph/graph.ts";
import {
  type Architecture,
  forward,
  type Model,
  type Network,
  type StoredNames,
  type WeightShape,
} from "./architecture.ts";
import { cohere2 } from "./cohere2.ts";
import { type ConfigFields, configFields } from "./config-fields.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { gemma3Text } from "./gemma3-text.ts";
import { glm4 } from "./glm4.ts";
import { granite } from "./granite.ts";
import { internlm2 } from "./internlm2.ts";
import { internlm3 } from "./internlm3.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { mistral3 } from "./mistral3.ts";
import { mixtral } from "./mixtral.ts";
import { olmo2 } from "./olmo2.ts";
import { phi3 } from "./phi3.ts";
import { checkPublishedClass } from "./published-class.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { qwen3Moe } from "./qwen3-moe.ts";
import { smollm3 } from "./smollm3.ts";
import { storedNames } from "./stored-names.ts";

export type { Architecture, Model, ModelConfig, Scope, WeightShape } from "./architecture.ts";
export { forward, isLongSequence } from "./architecture.ts";
export { checkWeights } from "./check-weights.ts";
export { storedNames } from "./stored-names.ts";

export const ARCHITECTURES: readonly Architecture[] = [
  cohere2,
  gemma2,
  gemma3,
  gemma3Text,
  glm4,
  granite,
  internlm2,
  internlm3,
  llama,
  mistral,
  mistral3,
  mixtral,
  olmo2,
  phi3,
  qwen2,
  qwen3,
  qwen3Moe,
  smollm3,
];

/** Opens a Hugging Face model folder by its `config.json`. Of the weights at most the headers are looked at, which `outlines` may have. */
export async function openModel(folder: string, outlines: Outlines = NO_OUTLINES): Promise<Model> {
  const path = join(folder, "config.json");
  const json = await readJson(path);
  const { readsNames } = findArchitecture(configFields(path, json));
  return modelFromConfig(
    folder,
    path,
    json,
    readsNames ? await storedNames(await openWeights(folder, outlines)) : null,
  );
}

/** A model from the parsed contents of its `config.json` and, where they are known, the names of its weights. */
export function modelFromConfig(folder: string, path: string, json: unknown, stored: StoredNames | null = null): Model {
  const fields = configFields(path, json);
  const architecture = findArchitecture(fields);
  checkPublishedClass(fields, architecture);
  const network = architecture.network(fields, stored);
  const shapes = traceShapes(network);
  const parameters = shapes.reduce((sum, { shape }) => sum + elements(shape), 0);
  return { ...network, folder, architecture, shapes, parameters };
}

function findArchitecture(fields: ConfigFields): Architecture {
  const type = fields.value("model_type");
  const architecture = ARCHITECTURES.find(({ name }) => name === type);
  if (architecture !== undefined) return architecture;
  const names = ARCHITECTURES.map(({ name }) => name);
  const found = type === undefined ? "is missing" : `unknown architecture ${excerptOf(type)}`;
  throw new Limitation(
    `${fields.path}: model_type`,
    `${found}; known are ${names.join(", ")} (engine: torch runs others; one more here is a file in src/models and a ` +
      `line in its index, as docs/adding.md says)${suggestion(typeof type === "string" ? type : "", names)}`,
  );
}

/** The weights a forward pass asks for: it is built once, for a sequence of one position. */
function traceShapes(network: Network): readonly WeightShape[] {
  const { embedding, head } = network;
  const { vocabularySize, hiddenSize, tied } = network.config;
  const graph = createGraph();
  const shapes: WeightShape[] = [{ name: embedding, shape: [vocabularySize, hiddenSize] }];
  const weight = (name: string, shape: readonly number[]) => {
    shapes.push({ name, shape });
    return input(graph, name, shape, "float");
  };
  forward(network, { graph, batch: 1, length: 1, weight }, input(graph, "embedded", [1, hiddenSize], "float"));
  if (!tied) shapes.push({ name: head, shape: [vocabularySize, hiddenSize] });
  return shapes;
}
