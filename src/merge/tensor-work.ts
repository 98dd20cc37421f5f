/**
 * Merging of one tensor: read as often as the method yields a pass and once more to be merged, rounded and written to
 * its place in the output. Nothing of a tensor's size is held but what the method keeps. Tensors know nothing of each
 * other, so that any thread may take any of them.
 */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { inputError, internalError } from "../errors.ts";
import { fileError, sha256OfFiles } from "../formats/files.ts";
import { DTYPE_BYTES } from "../formats/safetensors.ts";
import { type BlockMemory, createBlockMemory } from "./block-memory.ts";
import { narrower, rounder, STORED_DTYPE, storedView } from "./dtypes.ts";
import { CHUNK_ENTRIES, type MergedTensor, type Pass, type TensorTask } from "./method.ts";
import { METHODS } from "./methods/index.ts";
import {
  type Conversion,
  createTensorReader,
  openWeightFiles,
  type TensorReader,
  type WeightFiles,
} from "./read-tensor.ts";
import type { StoredTensor } from "./stored-tensor.ts";
import { inputsOf, type TensorPlan } from "./tensor-plan.ts";

/** What all tensors of a merge have in common. */
export interface TensorSetup extends Conversion {
  readonly method: string;
  readonly likeMergekit: boolean;
}

export interface TensorJob {
  readonly tensor: TensorPlan;
  /** The file to write to, which exists, and the place of the tensor's first byte in it. */
  readonly file: string;
  readonly position: number;
  /** What was measured of its scope, for a method with a survey. */
  readonly surveyed?: Float64Array | undefined;
}

/** What is known of a tensor once it is merged. */
export interface TensorReport {
  /** The weight each model got, where the method computes one. */
  readonly coefficients?: readonly number[] | undefined;
  /** Entries of each model, and behind them of a base, that were no numbers; undefined where all were. */
  readonly repaired?: readonly number[] | undefined;
  /** What the method has to say about it. */
  readonly remark?: string | undefined;
  /** Of its bytes in the output. */
  readonly sha256: string;
}

export interface TensorWork {
  /** What the method's survey measures of a tensor. */
  measure(tensor: TensorPlan): Promise<Float64Array>;
  /** Merges and writes a tensor. */
  merge(job: TensorJob): Promise<TensorReport>;
  /** The SHA-256 of the files' bytes, one after the other. */
  hash(files: readonly string[]): Promise<string>;
  /** Closes all files. */
  close(): Promise<void>;
}

/** `advance` hears after every block how many bytes of the inputs went into the output; what it throws ends the job. */
export function createTensorWork(setup: TensorSetup, advance: (bytes: number) => void): TensorWork {
  const method = METHODS.find(({ name }) => name === setup.method);
  if (method === undefined) throw internalError(`there is no merge method ${setup.method}`);
  const files = openWeightFiles();
  const outputs = new Map<string, Promise<FileHandle>>();
  const memory = createBlockMemory();
  const { likeMergekit } = setup;
  const afterBlock = async (): Promise<void> => advance(0);
  return {
    measure: async (tensor) => {
      if (method.survey === undefined) throw internalError(`${method.name} has no survey`);
      const reader = createTensorReader(tensor, setup, files, memory);
      const figures = await run(method.survey.measure(taskOf(tensor, memory, likeMergekit)), reader, afterBlock);
      // A copy, for they may lie in memory that the next tensor overwrites.
      return figures.slice();
    },
    merge: async ({ tensor, file, position, surveyed }) => {
      let output = outputs.get(file);
      if (output === undefined) {
        output = open(file, "r+");
        outputs.set(file, output);
      }
      let end = position;
      const sha256 = createHash("sha256");
      const write = async (piece: Uint8Array): Promise<void> => {
        try {
          await writeFully(await output, piece, end);
        } catch (error) {
          throw fileError(file, error);
        }
        sha256.update(piece);
        end += piece.byteLength;
      };
      if (tensor.copied !== undefined) {
        await copyBytes(tensor.copied, files, async (piece) => {
          await write(piece);
          advance(piece.byteLength);
        });
        return { sha256: sha256.digest("hex") };
      }
      const reader = createTensorReader(tensor, setup, files, memory);
      const work = method.tensor({ ...taskOf(tensor, memory, likeMergekit), surveyed });
      const merged = "next" in work ? await run(work, reader, afterBlock) : work;
      const bytes = inputsOf(tensor).reduce((total, { byteLength }) => total + byteLength, 0);
      let told = 0;
      await writeTensor(tensor, merged, reader, memory, async (piece, entriesDone) => {
        await write(piece);
        const done = Math.round((bytes * entriesDone) / tensor.size);
        advance(done - told);
        told = done;
      });
      await writePadding(tensor, setup, files, memory, write);
      const repaired = reader.repaired.some((count) => count > 0) ? reader.repaired : undefined;
      return { coefficients: merged.coefficients, repaired, remark: merged.remark, sha256: sha256.digest("hex") };
    },
    hash: sha256OfFiles,
    close: async () => {
      await files.close();
      for (const output of outputs.values()) await (await output.catch(() => undefined))?.close();
    },
  };
}

type AnyTask = TensorTask<Record<string, unknown>, Record<string, unknown>>;

function taskOf(tensor: TensorPlan, memory: BlockMemory, likeMergekit: boolean): AnyTask {
  const { name, shape, size, models, options, modelOptions } = tensor;
  return { name, shape, size, models: models.length, options, modelOptions, likeMergekit, memory };
}

/** Lets the method read the tensor until it knows what it wants to know. */
async function run<Result>(
  passes: Generator<Pass, Result, void>,
  reader: TensorReader,
  afterBlock: () => Promise<void>,
): Promise<Result> {
  for (;;) {
    const step = passes.next();
    if (step.done === true) return step.value;
    await reader.readAll(step.value, afterBlock);
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
  const roundWorking =
    working === output || working === "float64"
      ? undefined
      : rounder(working, memory.bytes("rounded", 8 * CHUNK_ENTRIES));
  const narrow = narrower(output);
  const width = DTYPE_BYTES[STORED_DTYPE[output]];
  const pieceEntries = Math.min(size, reader.blockEntries);
  const piece = memory.bytes("piece", pieceEntries * width);
  const stored = storedView(output, piece, pieceEntries);
  let filled = 0;
  await reader.readAll(
    (chunk) => {
      merged.write(chunk, values);
      roundWorking?.(values, chunk.count);
      const bad = narrow(values, chunk.count, stored, filled);
      if (bad >= 0) {
        const place = `entry ${chunk.start + bad} of ${size}`;
        throw inputError(JSON.stringify(name), `${place} does not fit into ${output}; choose a wider dtype`);
      }
      filled += chunk.count;
    },
    async (done) => {
      await write(piece.subarray(0, filled * width), done);
      filled = 0;
    },
  );
}

/** The rows after the merged ones, as they are but for the dtype. */
async function writePadding(
  tensor: TensorPlan,
  conversion: Conversion,
  files: WeightFiles,
  memory: BlockMemory,
  write: (piece: Uint8Array) => Promise<void>,
): Promise<void> {
  const { padding } = tensor;
  if (padding === undefined) return;
  const size = padding.shape.reduce((product, extent) => product * extent, 1);
  const rows = { ...tensor, shape: padding.shape, size, models: [padding], base: undefined };
  const copy: MergedTensor = { write: ({ models, count }, values) => values.set(models.subarray(0, count)) };
  await writeTensor(rows, copy, createTensorReader(rows, conversion, files, memory), memory, write);
}

/** Bytes copied at a time. */
const PIECE_BYTES = 1 << 22;

async function copyBytes(
  stored: StoredTensor,
  files: WeightFiles,
  write: (piece: Uint8Array) => Promise<void>,
): Promise<void> {
  for (let start = 0; start < stored.byteLength; start += PIECE_BYTES) {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, stored.byteLength - start));
    await files.read(stored, start, piece);
    await write(piece);
  }
}

async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}
