/**
 * The weights of a Hugging Face model folder, whichever way they are stored: one `model.safetensors`, or shards listed
 * by `model.safetensors.index.json`. Only headers are read at opening. The index comes from outside: it may name
 * nothing but plain files of its own folder, and what it says must be what the shards hold.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { exists, fileError, readJson, sha256OfFiles } from "./files.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "./float.ts";
import { readSafetensorsHeader, readTensor, type TensorInfo } from "./safetensors.ts";

export interface Weights {
  readonly folder: string;
  /** Paths of the weight files, in the order of their names. */
  readonly files: readonly string[];
  /** File by file, in the order of the data. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Lower-case hex SHA-256 over the bytes of `files`. */
  sha256(): Promise<string>;
  /** One tensor, widened to float32. Throws an input error where it is missing or no floating-point tensor. */
  float32(name: string): Promise<Float32Array>;
}

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/** Opens a model folder's weights; what is wrong with them is told by file and tensor. */
export async function openWeights(folder: string): Promise<Weights> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    throw fileError(folder, error);
  }
  const index = names.includes(INDEX);
  if (names.includes(SINGLE)) {
    if (index) {
      throw inputError(folder, `holds both ${SINGLE} and ${INDEX}; remove the one that does not belong to the model`);
    }
    const path = join(folder, SINGLE);
    return weights(folder, [path], (await readSafetensorsHeader(path)).tensors);
  }
  if (index) return openSharded(folder);
  const pickle = names.find((name) => /^pytorch_model.*\.bin(\.index\.json)?$/.test(name));
  if (pickle !== undefined) {
    throw inputError(
      join(folder, pickle),
      "pickled weights can run code when loaded and are never opened; convert them to safetensors",
    );
  }
  throw inputError(folder, `expected ${SINGLE} or ${INDEX}, found neither`);
}

async function openSharded(folder: string): Promise<Weights> {
  const path = join(folder, INDEX);
  const map = weightMap(path, await readJson(path));
  const shards = [...new Set(map.values())].sort();
  const tensors = new Map<string, TensorInfo>();
  for (const shard of shards) {
    if (!(await exists(join(folder, shard)))) {
      throw inputError(join(folder, shard), `no such file, but ${INDEX} lists it; the download is incomplete`);
    }
    const header = await readSafetensorsHeader(join(folder, shard));
    for (const [name, info] of header.tensors) {
      const other = tensors.get(name);
      if (other !== undefined) {
        throw inputError(info.file, `${JSON.stringify(name)} is also in ${other.file}; one of the shards is foreign`);
      }
      const expected = map.get(name);
      if (expected === undefined) {
        throw inputError(
          info.file,
          `${JSON.stringify(name)} is not listed in ${INDEX}; index and shard do not belong together`,
        );
      }
      if (expected !== shard) {
        throw inputError(info.file, `${JSON.stringify(name)} is here, but ${INDEX} says ${expected}`);
      }
      tensors.set(name, info);
    }
  }
  for (const [name, shard] of map) {
    if (!tensors.has(name))
      throw inputError(join(folder, shard), `${JSON.stringify(name)} is missing, but ${INDEX} lists it here`);
  }
  return weights(
    folder,
    shards.map((shard) => join(folder, shard)),
    tensors,
  );
}

/** `weight_map` of an index, checked: tensor names to plain file names. */
function weightMap(path: string, value: unknown): ReadonlyMap<string, string> {
  const entries = isObject(value) ? value.weight_map : undefined;
  if (!isObject(entries))
    throw inputError(path, 'expected an object with a "weight_map" from tensor names to file names');
  const map = new Map<string, string>();
  for (const [name, shard] of Object.entries(entries)) {
    if (typeof shard !== "string" || !/^[^/\\:\0]+\.safetensors$/.test(shard)) {
      throw inputError(
        `${path}: weight_map.${JSON.stringify(name)}`,
        `expected the name of a .safetensors file in this folder, found ${JSON.stringify(shard)}`,
      );
    }
    map.set(name, shard);
  }
  if (map.size === 0) throw inputError(path, "weight_map lists no tensors");
  return map;
}

function weights(folder: string, files: readonly string[], tensors: ReadonlyMap<string, TensorInfo>): Weights {
  let digest: Promise<string> | undefined;
  return {
    folder,
    files,
    tensors,
    sha256: () => {
      digest ??= sha256OfFiles(files);
      return digest;
    },
    float32: async (name) => {
      const info = tensors.get(name);
      if (info === undefined) throw inputError(folder, `the tensor ${JSON.stringify(name)} is missing`);
      return widen(info);
    },
  };
}

/** A floating-point tensor as float32. */
async function widen(info: TensorInfo): Promise<Float32Array> {
  const { data } = await readTensor(info);
  if (info.dtype === "F32") return data as Float32Array;
  if (info.dtype === "F16") return float16ToFloat32(data as Uint16Array);
  if (info.dtype === "BF16") return bfloat16ToFloat32(data as Uint16Array);
  if (info.dtype === "F64") return Float32Array.from(data as Float64Array);
  throw inputError(
    `${info.file}: ${JSON.stringify(info.name)}`,
    `expected floating-point weights, found ${info.dtype}`,
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
