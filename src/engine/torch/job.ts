/**
 * A job folder: what the Python package is given, in numbers alone (docs/formats.md, "Jobs of the torch engine"). Arrays
 * are written first and `job.json` last, so that a folder with one is whole; written once, it is kept for as long as the
 * work takes, through every interruption.
 *
 * Legend: N sequences, T ids, R rows, W places a target, S steps.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { exists, writeJson } from "../../formats/files.ts";
import { makeFolder } from "../../formats/folders.ts";
import { openSafetensorsWriter, type Tensor, writeSafetensors } from "../../formats/safetensors.ts";
import type { TrainSequence, WholeTraining } from "../engine.ts";
import type { PackedSequences } from "../packed.ts";

export const JOB_FORMAT = "fusechat-torch-job-1";
const JOB_FILE = "job.json";

/** Rows of a file of targets: 160 MB at W = 20. */
const TARGET_ROWS = 1_000_000;

export type JobSettings = Readonly<Record<string, unknown>> & {
  readonly kind: "rows" | "train" | "generate" | "session";
};

/** Writes the settings: the folder is a job from now on. They may be written anew before each attempt. */
export async function writeSettings(folder: string, settings: JobSettings): Promise<void> {
  await writeJson(join(folder, JOB_FILE), { format: JOB_FORMAT, ...settings });
}

export async function hasSettings(folder: string): Promise<boolean> {
  return exists(join(folder, JOB_FILE));
}

/** A name that other sequences or settings do not have: an interrupted job is found again by it. */
export function jobName(settings: JobSettings, sequences: PackedSequences): string {
  const hash = createHash("sha256").update(JSON.stringify(settings), "utf8");
  const { ids, idStart, positions, rowStart, uniform } = sequences;
  for (const array of [ids, idStart, positions, rowStart, ...(uniform === null ? [] : [uniform])]) {
    hash.update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }
  return `${settings.kind}-${hash.digest("hex").slice(0, 16)}`;
}

/** `rows` also writes which ids are labels. */
export async function writeSequences(
  folder: string,
  { ids, idStart, positions, rowStart }: PackedSequences,
  rows: boolean,
): Promise<void> {
  await makeFolder(folder);
  const tensors: [string, Tensor][] = [
    ["ids", int32(ids)],
    ["sequence_start", starts(idStart)],
  ];
  if (rows) tensors.push(["position", int32(positions)], ["row_start", starts(rowStart)]);
  await writeSafetensors(join(folder, "sequences.safetensors"), tensors);
}

/** [R] the numbers that rows are drawn by. */
export async function writeRowDraws(folder: string, uniform: Float32Array): Promise<void> {
  await writeSafetensors(join(folder, "draws.safetensors"), [
    ["uniform", { dtype: "F32", shape: [uniform.length], data: uniform }],
  ]);
}

/** [N, maxTokens] the numbers that draw each answer's ids. */
export async function writeDraws(folder: string, uniform: Float64Array, maxTokens: number): Promise<void> {
  const shape = [uniform.length / maxTokens, maxTokens];
  await writeSafetensors(join(folder, "draws.safetensors"), [["uniform", { dtype: "F64", shape, data: uniform }]]);
}

/** Which sequences form which step, and how fast each learns. Sequences without rows are not among them. */
export async function writeSteps(folder: string, steps: WholeTraining["steps"]): Promise<void> {
  const batch = Int32Array.from(steps.flatMap((step) => step.batch));
  const start = new Int32Array(steps.length + 1);
  steps.forEach((step, s) => {
    start[s + 1] = start[s]! + step.batch.length;
  });
  const rate = Float64Array.from(steps, ({ learningRate }) => learningRate);
  await writeSafetensors(join(folder, "steps.safetensors"), [
    ["batch", int32(batch)],
    ["batch_start", starts(start)],
    ["learning_rate", { dtype: "F64", shape: [steps.length], data: rate }],
  ]);
}

/** Targets [R, W] of all sequences in order, in files of up to a million rows. */
export async function writeTargets(
  folder: string,
  rows: number,
  sequences: AsyncGenerator<TrainSequence, void, void>,
  shape: { readonly width: number; readonly tail: boolean },
): Promise<void> {
  const { width, tail } = shape;
  let pending: TrainSequence | undefined;
  for (let first = 0, file = 0; first < rows; file++) {
    const chunk: TrainSequence[] = pending === undefined ? [] : [pending];
    let count = pending?.positions.length ?? 0;
    pending = undefined;
    for (;;) {
      const next = await sequences.next();
      if (next.done === true) break;
      if (count > 0 && count + next.value.positions.length > TARGET_ROWS) {
        pending = next.value;
        break;
      }
      chunk.push(next.value);
      count += next.value.positions.length;
    }
    const entries = [
      { name: "target_id", dtype: "I32" as const, shape: [count, width] },
      { name: "target_probability", dtype: "F32" as const, shape: [count, width] },
      ...(tail ? [{ name: "tail_probability", dtype: "F32" as const, shape: [count] }] : []),
    ];
    const name = `targets-${String(file).padStart(5, "0")}.safetensors`;
    const writer = await openSafetensorsWriter(join(folder, name), entries);
    try {
      for (const { targetId } of chunk) await writer.write(bytesOf(targetId));
      for (const { targetProbability } of chunk) await writer.write(bytesOf(targetProbability));
      for (const { tailProbability } of tail ? chunk : []) await writer.write(bytesOf(tailProbability!));
      await writer.commit();
    } catch (error) {
      await writer.abort();
      throw error;
    }
    first += count;
  }
}

function int32(data: Int32Array): Tensor {
  return { dtype: "I32", shape: [data.length], data };
}

function starts(data: Int32Array): Tensor {
  return { dtype: "I64", shape: [data.length], data: BigInt64Array.from(data, BigInt) };
}

function bytesOf(array: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
