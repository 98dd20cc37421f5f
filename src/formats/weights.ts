/**
 * The weights of a Hugging Face model folder, whichever way they are stored: one `model.safetensors`, or shards listed
 * by `model.safetensors.index.json`. Only headers are read at opening. The index comes from outside: it may name
 * nothing but plain files of its own folder, and what it says must be what the shards hold.
 */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type FusechatError, inputError, Limitation } from "../errors.ts";
import { excerptOf } from "../excerpt.ts";
import { exists, fileError, readJson, sha256OfFiles } from "./files.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "./float.ts";
import { DTYPE_BYTES, type Dtype, readSafetensorsHeader, type TensorInfo, withTensorFile } from "./safetensors.ts";
import type { SafetensorsHeader } from "./safetensors-header.ts";

export interface Weights {
  readonly folder: string;
  /** Paths of the weight files, in the order of their names. */
  readonly files: readonly string[];
  /** File by file, in the order of the data. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Names that the index lists and no shard holds, as after a head was tied. Who needs one of them misses it by name. */
  readonly absent: readonly string[];
  /** Lower-case hex SHA-256 over the bytes of `files`. */
  sha256(): Promise<string>;
  /** One tensor, widened to float32. Throws an input error where it is missing or no floating-point tensor. */
  float32(name: string): Promise<Float32Array<ArrayBuffer>>;
  /** Fills `into` with a tensor's elements from `first` on, widened. No other memory of that size is taken. */
  read(name: string, into: Float32Array, first?: number): Promise<void>;
  /** Fills `into` with rows of a matrix, widened: row `ids[i]` goes to place i. Each row is read once. */
  readRows(name: string, ids: ArrayLike<number>, into: Float32Array): Promise<void>;
}

/** All weights in one file. */
export const SINGLE = "model.safetensors";
/** Which shard holds which tensor. */
export const INDEX = "model.safetensors.index.json";

/**
 * Headers of files that are to come, by the paths they will have: a model of the Hub can be planned with before its
 * weights are here. Reading a tensor of such a file fails until it is.
 */
export type Outlines = ReadonlyMap<string, SafetensorsHeader>;

export const NO_OUTLINES: Outlines = new Map();

/** The header of a file, here or to come. */
export async function headerOf(file: string, outlines: Outlines = NO_OUTLINES): Promise<SafetensorsHeader> {
  return outlines.get(file) ?? (await readSafetensorsHeader(file));
}

/** Opens a model folder's weights; what is wrong with them is told by file and tensor. */
export async function openWeights(folder: string, outlines: Outlines = NO_OUTLINES): Promise<Weights> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    throw fileError(folder, error);
  }
  if (outlines.has(join(folder, SINGLE)) && !names.includes(SINGLE)) names.push(SINGLE);
  const index = names.includes(INDEX);
  if (names.includes(SINGLE)) {
    if (index) {
      throw inputError(folder, `holds both ${SINGLE} and ${INDEX}; remove the one that does not belong to the model`);
    }
    const path = join(folder, SINGLE);
    return weights(folder, [path], (await headerOf(path, outlines)).tensors);
  }
  if (index) return openSharded(folder, outlines);
  throw noWeights(folder, names);
}

/** What to say of a folder, or a list of files, without weights that can be opened. */
export function noWeights(where: string, names: Iterable<string>): FusechatError {
  for (const name of names) {
    if (!/^(pytorch_model|model|consolidated).*\.(bin|pth?|ckpt)(\.index\.json)?$/.test(name)) continue;
    return new Limitation(
      `${where}/${name}`,
      "pickled weights can run code when loaded and are never opened; convert them to safetensors " +
        "(save_pretrained of transformers writes it)",
    );
  }
  return new Limitation(where, `expected ${SINGLE} or ${INDEX}, found neither`);
}

async function openSharded(folder: string, outlines: Outlines): Promise<Weights> {
  const path = join(folder, INDEX);
  const map = weightMap(path, await readJson(path));
  const shards = shardsOf(map);
  const tensors = new Map<string, TensorInfo>();
  for (const shard of shards) {
    const file = join(folder, shard);
    if (!outlines.has(file) && !(await exists(file))) {
      throw new Limitation(file, `no such file, but ${INDEX} lists it; the download is incomplete`);
    }
    const header = await headerOf(file, outlines);
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
  return weights(
    folder,
    shards.map((shard) => join(folder, shard)),
    tensors,
    [...map.keys()].filter((name) => !tensors.has(name)),
  );
}

/** The files that an index lists, in the order of their names. */
export function shardsOf(index: ReadonlyMap<string, string>): readonly string[] {
  return [...new Set(index.values())].sort();
}

/** `weight_map` of an index, checked: tensor names to plain file names. */
export function weightMap(path: string, value: unknown): ReadonlyMap<string, string> {
  const entries = isObject(value) ? value.weight_map : undefined;
  if (!isObject(entries))
    throw inputError(path, 'expected an object with a "weight_map" from tensor names to file names');
  const map = new Map<string, string>();
  for (const [name, shard] of Object.entries(entries)) {
    if (typeof shard !== "string" || !/^[^/\\:\0]+\.safetensors$/.test(shard)) {
      throw inputError(
        `${path}: weight_map.${JSON.stringify(name)}`,
        `expected the name of a .safetensors file in this folder, found ${excerptOf(shard)}`,
      );
    }
    map.set(name, shard);
  }
  if (map.size === 0) throw inputError(path, "weight_map lists no tensors");
  return map;
}

function weights(
  folder: string,
  files: readonly string[],
  tensors: ReadonlyMap<string, TensorInfo>,
  absent: readonly string[] = [],
): Weights {
  let digest: Promise<string> | undefined;
  return {
    folder,
    files,
    tensors,
    absent,
    sha256: () => {
      digest ??= sha256OfFiles(files);
      return digest;
    },
    float32: async (name) => {
      const info = floatTensor(folder, tensors, name);
      const values = new Float32Array(info.byteLength / DTYPE_BYTES[info.dtype]);
      await withTensorFile(info, (read) => readWidened(info, read, values, 0));
      return values;
    },
    read: async (name, into, first = 0) => {
      const info = floatTensor(folder, tensors, name);
      await withTensorFile(info, (read) => readWidened(info, read, into, first));
    },
    readRows: async (name, ids, into) => {
      const info = floatTensor(folder, tensors, name);
      const width = info.shape.at(-1)!;
      const places = new Map<number, number>();
      await withTensorFile(info, async (read) => {
        for (let i = 0; i < ids.length; i++) {
          const place = places.get(ids[i]!);
          places.set(ids[i]!, place ?? i);
          if (place !== undefined) into.copyWithin(i * width, place * width, (place + 1) * width);
          else await readWidened(info, read, into.subarray(i * width, (i + 1) * width), ids[i]! * width);
        }
      });
    },
  };
}

function floatTensor(folder: string, tensors: ReadonlyMap<string, TensorInfo>, name: string): TensorInfo {
  const info = tensors.get(name);
  if (info === undefined) throw inputError(folder, `the tensor ${JSON.stringify(name)} is missing`);
  if (!Object.hasOwn(WIDENING, info.dtype) && info.dtype !== "F32") {
    throw inputError(
      `${info.file}: ${JSON.stringify(info.name)}`,
      `expected floating-point weights, found ${info.dtype}`,
    );
  }
  return info;
}

/** Bytes read and widened at a time: while one piece is widened the next is read. */
const PIECE_BYTES = 1 << 22;

/** How the stored bytes of a piece become float32. */
const WIDENING: Readonly<Partial<Record<Dtype, (bytes: ArrayBuffer, into: Float32Array) => void>>> = {
  F16: (bytes, into) => float16ToFloat32(new Uint16Array(bytes, 0, into.length), into),
  BF16: (bytes, into) => bfloat16ToFloat32(new Uint16Array(bytes, 0, into.length), into),
  F64: (bytes, into) => into.set(new Float64Array(bytes, 0, into.length)),
};

/** Elements of a tensor from `first` on, as many as `into` has. */
async function readWidened(
  info: TensorInfo,
  read: (bytes: Uint8Array, begin: number) => Promise<void>,
  into: Float32Array,
  first: number,
): Promise<void> {
  const size = DTYPE_BYTES[info.dtype];
  const widen = WIDENING[info.dtype];
  if (widen === undefined) {
    await read(new Uint8Array(into.buffer, into.byteOffset, into.byteLength), first * size);
    return;
  }
  const piece = Math.min(into.length, PIECE_BYTES / size);
  const buffers = [new ArrayBuffer(piece * size), new ArrayBuffer(piece < into.length ? piece * size : 0)] as const;
  const fetch = async (start: number, buffer: ArrayBuffer): Promise<void> => {
    const count = Math.min(piece, into.length - start);
    if (count > 0) await read(new Uint8Array(buffer, 0, count * size), (first + start) * size);
  };
  let [ready, next] = buffers;
  await fetch(0, ready);
  for (let start = 0; start < into.length; start += piece) {
    const fetching = fetch(start + piece, next);
    widen(ready, into.subarray(start, start + piece));
    await fetching;
    [ready, next] = [next, ready];
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
