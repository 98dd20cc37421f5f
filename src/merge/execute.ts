/**
 * Runs a plan: one tensor after the other, each read as often as the method yields a pass and once more to be merged,
 * rounded and written straight into the output shard. Nothing of a tensor's size is held but what the method keeps.
 */
import { failure, throwIfInterrupted } from "../errors.ts";
import { DTYPE_BYTES } from "../formats/safetensors.ts";
import type { Reporter } from "../reporter.ts";
import { type MergeDtype, narrower, rounder, STORED_DTYPE, storedView } from "./dtypes.ts";
import { CHUNK_ENTRIES, type MergedTensor } from "./method.ts";
import { openShardedWriter, SHARD_BYTES } from "./output-shards.ts";
import { inputsOf, type MergePlan, outputShape, type TensorPlan } from "./plan.ts";
import {
  type BlockMemory,
  createBlockMemory,
  createTensorReader,
  openWeightFiles,
  type TensorReader,
  type WeightFiles,
} from "./read-tensor.ts";

export interface ExecuteOptions {
  readonly likeMergekit: boolean;
  /** Largest output file; a single larger tensor still gets one of its own. */
  readonly shardBytes?: number;
}

export interface ExecuteContext {
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

/** The weights every model got in every tensor, in the plan's order; undefined where the method computes none. */
export type Coefficients = readonly (readonly number[] | undefined)[];

const STAGE = "merge";
const MEGABYTE = 1e6;

/** Writes the plan's weights into an existing folder. What was written is taken back where it fails. */
export async function executePlan(
  plan: MergePlan,
  folder: string,
  { likeMergekit, shardBytes = SHARD_BYTES }: ExecuteOptions,
  { reporter, signal }: ExecuteContext,
): Promise<Coefficients> {
  const entries = plan.tensors.map((tensor) => ({
    name: tensor.name,
    shape: outputShape(tensor),
    dtype: STORED_DTYPE[tensor.output],
  }));
  const total = Math.ceil(plan.bytesIn / MEGABYTE);
  reporter.report({ type: "start", stage: STAGE, total, unit: "MB" });
  const writer = await openShardedWriter(folder, entries, shardBytes);
  const files = openWeightFiles();
  const memory = createBlockMemory();
  const coefficients: (readonly number[] | undefined)[] = [];
  let done = 0;
  try {
    for (const tensor of plan.tensors) {
      throwIfInterrupted(signal, STAGE);
      const reader = createTensorReader(tensor, plan.config.dtype, files, memory);
      const merged = await prepare(plan, tensor, reader, likeMergekit);
      const bytes = inputBytes(tensor);
      await writeTensor(tensor, merged, reader, memory, async (piece, entriesDone) => {
        await writer.write(piece);
        const read = Math.round((done + (bytes * entriesDone) / tensor.size) / MEGABYTE);
        reporter.report({ type: "progress", stage: STAGE, done: read, total, unit: "MB" });
      });
      await writePadding(tensor, plan.config.dtype, files, memory, (piece) => writer.write(piece));
      done += bytes;
      coefficients.push(merged.coefficients);
    }
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  } finally {
    await files.close();
  }
  return coefficients;
}

/** Lets the method read the tensor until it knows how to merge it. */
async function prepare(
  { method }: MergePlan,
  tensor: TensorPlan,
  reader: TensorReader,
  likeMergekit: boolean,
): Promise<MergedTensor> {
  const { name, shape, size, models, options, modelOptions } = tensor;
  const work = method.tensor({ name, shape, size, models: models.length, options, modelOptions, likeMergekit });
  if (!("next" in work)) return work;
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    await reader.readAll(step.value);
  }
}

async function writeTensor(
  { name, size, working, output }: TensorPlan,
  merged: MergedTensor,
  reader: TensorReader,
  memory: BlockMemory,
  write: (piece: Uint8Array, entriesDone: number) => Promise<void>,
): Promise<void> {
  const values = memory.doubles("merged", CHUNK_ENTRIES);
  const roundWorking = working === output || working === "float64" ? undefined : rounder(working);
  const narrow = narrower(output);
  const width = DTYPE_BYTES[STORED_DTYPE[output]];
  const pieceEntries = Math.min(size, reader.blockEntries);
  const piece = memory.buffer("piece", pieceEntries * width);
  const stored = storedView(output, piece, pieceEntries);
  let filled = 0;
  await reader.readAll(
    (chunk) => {
      merged.write(chunk, values);
      roundWorking?.(values.subarray(0, chunk.count));
      const bad = narrow(values, chunk.count, stored, filled);
      if (bad >= 0) {
        const place = `entry ${chunk.start + bad} of ${size}`;
        throw failure(JSON.stringify(name), `${place} does not fit into ${output}; choose a wider dtype`);
      }
      filled += chunk.count;
    },
    async (done) => {
      await write(new Uint8Array(piece, 0, filled * width), done);
      filled = 0;
    },
  );
}

/** The rows after the merged ones, as they are but for the dtype. */
async function writePadding(
  tensor: TensorPlan,
  cast: MergeDtype | undefined,
  files: WeightFiles,
  memory: BlockMemory,
  write: (piece: Uint8Array) => Promise<void>,
): Promise<void> {
  const { padding } = tensor;
  if (padding === undefined) return;
  const size = padding.shape.reduce((product, extent) => product * extent, 1);
  const rows = { ...tensor, shape: padding.shape, size, models: [padding], base: undefined };
  const copy: MergedTensor = { write: ({ models, count }, values) => values.set(models.subarray(0, count)) };
  await writeTensor(rows, copy, createTensorReader(rows, cast, files, memory), memory, write);
}

function inputBytes(tensor: TensorPlan): number {
  return inputsOf(tensor).reduce((total, { byteLength }) => total + byteLength, 0);
}
