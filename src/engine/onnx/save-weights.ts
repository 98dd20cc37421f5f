/**
 * Writes weights as transformers names and orders them: `model.safetensors`, or shards of at most 4 GB with an index.
 * The index is written last, and what an earlier save of another form left is removed after it.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { failure } from "../../errors.ts";
import { fileError, writeJson } from "../../formats/files.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../../formats/float.ts";
import {
  DTYPE_BYTES,
  type Dtype,
  openSafetensorsWriter,
  type SafetensorsWriter,
  type TensorEntry,
  type TensorInfo,
  withTensorFile,
} from "../../formats/safetensors.ts";
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

export interface SaveOptions {
  /** Tensors of another folder that are copied as they are, whatever the dtype. */
  readonly carried?: readonly TensorInfo[];
  readonly shardBytes?: number;
}

/** A tensor of the output, before it is written. */
type Output = TensorEntry & ({ readonly weight: NamedWeight } | { readonly stored: TensorInfo });

/** Writes into an existing folder. Throws where a weight is too large for the dtype. */
export async function writeWeights(
  folder: string,
  weights: readonly NamedWeight[],
  dtype: WeightDtype,
  { carried = [], shardBytes = SHARD_BYTES }: SaveOptions = {},
): Promise<void> {
  const outputs: Output[] = [
    ...weights.map((weight) => ({ name: weight.name, shape: weight.shape, dtype: DTYPES[dtype], weight })),
    ...carried.map((stored) => ({ name: stored.name, shape: stored.shape, dtype: stored.dtype, stored })),
  ];
  // Wider types first, as safetensors lays them out: every tensor then begins at a multiple of its own width.
  outputs.sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype]);
  const shards = divide(outputs, shardBytes);
  const names = shards.map((_, index) =>
    shards.length === 1 ? SINGLE : `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`,
  );
  for (const [index, shard] of shards.entries()) await writeShard(join(folder, names[index]!), shard, dtype);
  if (shards.length > 1) {
    const weightMap = shards.flatMap((shard, index) => shard.map(({ name }) => [name, names[index]!] as const));
    const totalSize = outputs.reduce((sum, output) => sum + bytesOf(output), 0);
    await writeJson(join(folder, INDEX), {
      metadata: { total_size: totalSize },
      weight_map: Object.fromEntries(weightMap),
    });
  }
  await removeOthers(folder, shards.length > 1 ? [...names, INDEX] : names);
}

async function writeShard(path: string, outputs: readonly Output[], dtype: WeightDtype): Promise<void> {
  const entries = outputs.map(({ name, shape, dtype: own }) => ({ name, shape, dtype: own }));
  const writer = await openSafetensorsWriter(path, entries, { format: "pt" });
  try {
    for (const output of outputs) {
      if ("stored" in output) {
        await copyBytes(output.stored, writer);
        continue;
      }
      const { weight } = output;
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

async function copyBytes(stored: TensorInfo, writer: SafetensorsWriter): Promise<void> {
  await withTensorFile(stored, async (read) => {
    for (let start = 0; start < stored.byteLength; start += BLOCK) {
      const bytes = new Uint8Array(Math.min(BLOCK, stored.byteLength - start));
      await read(bytes, start);
      await writer.write(bytes);
    }
  });
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

/** Runs of tensors of at most `shardBytes` each; a larger one is alone. */
function divide(outputs: readonly Output[], shardBytes: number): Output[][] {
  const shards: Output[][] = [[]];
  let bytes = 0;
  for (const output of outputs) {
    const size = bytesOf(output);
    if (bytes > 0 && bytes + size > shardBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(output);
    bytes += size;
  }
  return shards;
}

function bytesOf(output: Output): number {
  return "stored" in output ? output.stored.byteLength : output.weight.data.length * DTYPE_BYTES[output.dtype];
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
