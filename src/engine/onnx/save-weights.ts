/**
 * Writes weights as transformers names and orders them: `model.safetensors`, or shards of at most 4 GB with an index.
 * The index is written last, and what an earlier save of another form left is removed after it.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { failure } from "../../errors.ts";
import { fileError, writeJson } from "../../formats/files.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../../formats/float.ts";
import { type Dtype, openSafetensorsWriter } from "../../formats/safetensors.ts";
import type { WeightDtype } from "../engine.ts";

export interface NamedWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

const DTYPES: Readonly<Record<WeightDtype, Dtype>> = { float32: "F32", float16: "F16", bfloat16: "BF16" };
const SHARD_BYTES = 4e9;
/** Elements converted at a time: 8 MB beside the weights, not a whole embedding. */
const BLOCK = 2 ** 22;
const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/** Writes into an existing folder. Throws where a weight is too large for the dtype. */
export async function writeWeights(
  folder: string,
  weights: readonly NamedWeight[],
  dtype: WeightDtype,
  shardBytes: number = SHARD_BYTES,
): Promise<void> {
  const width = dtype === "float32" ? 4 : 2;
  const shards = divide(weights, width, shardBytes);
  const names = shards.map((_, index) =>
    shards.length === 1 ? SINGLE : `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`,
  );
  for (const [index, shard] of shards.entries()) await writeShard(join(folder, names[index]!), shard, dtype);
  if (shards.length > 1) {
    const weightMap = shards.flatMap((shard, index) => shard.map(({ name }) => [name, names[index]!] as const));
    const totalSize = weights.reduce((sum, { data }) => sum + data.length * width, 0);
    await writeJson(join(folder, INDEX), {
      metadata: { total_size: totalSize },
      weight_map: Object.fromEntries(weightMap),
    });
  }
  await removeOthers(folder, shards.length > 1 ? [...names, INDEX] : names);
}

async function writeShard(path: string, weights: readonly NamedWeight[], dtype: WeightDtype): Promise<void> {
  const entries = weights.map(({ name, shape }) => ({ name, shape, dtype: DTYPES[dtype] }));
  const writer = await openSafetensorsWriter(path, entries, { format: "pt" });
  try {
    for (const weight of weights) {
      for (let first = 0; first < weight.data.length; first += BLOCK) {
        await writer.write(narrow(path, weight, first, dtype));
      }
    }
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** The bytes of the block of elements from `first` on. */
function narrow(path: string, { name, data }: NamedWeight, first: number, dtype: WeightDtype): Uint8Array {
  const block = data.subarray(first, first + BLOCK);
  const converted =
    dtype === "float32" ? block : dtype === "float16" ? float32ToFloat16(block) : float32ToBfloat16(block);
  if (converted instanceof Uint16Array && dtype === "float16") {
    const place = converted.findIndex((pattern) => (pattern & 0x7c00) === 0x7c00);
    if (place >= 0) {
      throw failure(
        `${path}: ${JSON.stringify(name)}`,
        `element ${first + place} is ${block[place]}, beyond the largest float16 (65504); write bfloat16 or float32`,
      );
    }
  }
  return new Uint8Array(converted.buffer, converted.byteOffset, converted.byteLength);
}

/** Runs of weights of at most `shardBytes` each; a larger weight is alone. */
function divide(weights: readonly NamedWeight[], width: number, shardBytes: number): NamedWeight[][] {
  const shards: NamedWeight[][] = [[]];
  let bytes = 0;
  for (const weight of weights) {
    const size = weight.data.length * width;
    if (bytes > 0 && bytes + size > shardBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(weight);
    bytes += size;
  }
  return shards;
}

async function removeOthers(folder: string, written: readonly string[]): Promise<void> {
  try {
    for (const name of await readdir(folder)) {
      const ours = name === SINGLE || name === INDEX || /^model-\d{5}-of-\d{5}\.safetensors$/.test(name);
      if (ours && !written.includes(name)) await rm(join(folder, name));
    }
  } catch (error) {
    throw fileError(folder, error);
  }
}

function number(value: number): string {
  return `${value}`.padStart(5, "0");
}
