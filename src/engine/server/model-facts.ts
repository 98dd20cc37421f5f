/**
 * What must be known here of a model that a server runs: its config is enough, and any architecture will do. How many
 * parameters it has is nobody's business here and not in the config.
 */
import { join, resolve } from "node:path";
import { inputError } from "../../errors.ts";
import { readJson } from "../../formats/files.ts";
import type { ModelFacts } from "../engine.ts";

export async function modelFacts(folder: string): Promise<ModelFacts> {
  const path = join(folder, "config.json");
  const config = await readJson(path);
  if (!isRecord(config)) throw inputError(path, "expected an object");
  const fields = isRecord(config.text_config) ? { ...config, ...config.text_config } : config;
  const vocabulary = fields.vocab_size;
  if (typeof vocabulary !== "number" || !Number.isSafeInteger(vocabulary) || vocabulary < 1) {
    const found = vocabulary === undefined ? "nothing" : JSON.stringify(vocabulary);
    throw inputError(`${path}: vocab_size`, `expected the width of the model's head, found ${found}; write it there`);
  }
  const positions = fields.max_position_embeddings;
  return {
    folder: resolve(folder),
    architecture: typeof config.model_type === "string" ? config.model_type : "unknown",
    vocabulary,
    maxPositions: typeof positions === "number" && positions > 0 ? positions : null,
    parameters: null,
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
