/**
 * What must be known of a model before its sequences are written. Any architecture that transformers has will do, so
 * nothing is asked of the config but sizes, by the names all of them have; a wrapper keeps them in `text_config`. Whether
 * transformers has the architecture, Python says when the model is opened.
 */

import { join, resolve } from "node:path";
import { inputError } from "../../errors.ts";
import { excerptOf } from "../../excerpt.ts";
import { readJson } from "../../formats/files.ts";
import type { TensorInfo } from "../../formats/safetensors.ts";
import { NO_OUTLINES, type Outlines, openWeights } from "../../formats/weights.ts";
import type { ModelFacts } from "../engine.ts";

const QUANTISED = ["quantization_config", "compression_config"];

export async function modelFacts(folder: string, outlines: Outlines = NO_OUTLINES): Promise<ModelFacts> {
  const path = join(folder, "config.json");
  const config = await readJson(path);
  if (!isRecord(config)) throw inputError(path, "expected an object");
  const fields = isRecord(config.text_config) ? { ...config, ...config.text_config } : config;
  if (typeof config.model_type !== "string") {
    throw inputError(`${path}: model_type`, `expected a name, found ${excerptOf(config.model_type)}`);
  }
  const packed = QUANTISED.find((key) => isRecord(fields[key]));
  if (packed !== undefined) {
    throw inputError(`${path}: ${packed}`, "the checkpoint is quantised; take the floating-point one it was made from");
  }
  const { tensors } = await openWeights(folder, outlines);
  const positions = fields.max_position_embeddings ?? fields.n_positions;
  let parameters = 0;
  for (const { shape } of tensors.values()) parameters += shape.reduce((product, extent) => product * extent, 1);
  return {
    folder: resolve(folder),
    architecture: config.model_type,
    vocabulary:
      fields.vocab_size === undefined ? embeddingRows(folder, tensors) : vocabularyOf(path, fields.vocab_size),
    maxPositions: typeof positions === "number" && positions > 0 ? positions : null,
    parameters,
  };
}

function vocabularyOf(path: string, value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
  throw inputError(`${path}: vocab_size`, `expected a whole number, found ${excerptOf(value)}`);
}

/** Wrappers often leave out what is their architecture's default. */
function embeddingRows(folder: string, tensors: ReadonlyMap<string, TensorInfo>): number {
  const rows = [...tensors].find(([name]) => name.endsWith("embed_tokens.weight"))?.[1].shape[0];
  if (rows !== undefined) return rows;
  throw inputError(folder, "expected vocab_size in config.json, or an embedding called embed_tokens, found neither");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
