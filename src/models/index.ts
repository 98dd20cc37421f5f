/** The architectures, and how a model folder is opened. To add one: a file beside this one, and a line in the list. */
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { readJson } from "../formats/files.ts";
import { createGraph, elements, input } from "../graph/graph.ts";
import { type Architecture, forward, type Model, type Network, type WeightShape } from "./architecture.ts";
import { configFields } from "./config-fields.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { mixtral } from "./mixtral.ts";
import { qwen2 } from "./qwen2.ts";

export type { Architecture, Model, ModelConfig, Scope, WeightShape } from "./architecture.ts";
export { forward } from "./architecture.ts";
export { checkWeights } from "./check-weights.ts";

export const ARCHITECTURES: readonly Architecture[] = [llama, mistral, mixtral, qwen2];

/** Opens a Hugging Face model folder by its `config.json`. The weights are not looked at. */
export async function openModel(folder: string): Promise<Model> {
  const path = join(folder, "config.json");
  return modelFromConfig(folder, path, await readJson(path));
}

/** A model from the parsed contents of its `config.json`. */
export function modelFromConfig(folder: string, path: string, json: unknown): Model {
  const fields = configFields(path, json);
  const type = fields.value("model_type");
  const architecture = ARCHITECTURES.find(({ name }) => name === type);
  if (architecture === undefined) {
    const known = ARCHITECTURES.map(({ name }) => name).join(", ");
    throw inputError(
      `${path}: model_type`,
      `${type === undefined ? "is missing" : `unknown architecture ${JSON.stringify(type)}`}; known are ${known} ` +
        "(another one is a file in src/models and a line in its index)",
    );
  }
  const network = architecture.network(fields);
  const shapes = traceShapes(network);
  const parameters = shapes.reduce((sum, { shape }) => sum + elements(shape), 0);
  return { ...network, folder, architecture, shapes, parameters };
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
