/**
 * What a merge would read, write and need, without doing it. Whatever is refused before a merge begins is refused here
 * too, with the same words.
 */
import { resolve } from "node:path";
import { freeBytes } from "../formats/free-disk.ts";
import { DTYPE_BYTES } from "../formats/safetensors.ts";
import type { Outlines } from "../formats/weights.ts";
import type { MergeConfig } from "./config.ts";
import { checkSpace } from "./disk-space.ts";
import { findFinished } from "./finished.ts";
import type { MergeOptions } from "./merge.ts";
import { planShards, SHARD_BYTES } from "./output-shards.ts";
import { outputTensors, planMerge } from "./plan.ts";
import { outputDtype, outputEntries } from "./tensor-plan.ts";
import { usefulThreads } from "./tensor-pool.ts";

export interface MergePreview {
  readonly method: string;
  readonly models: readonly string[];
  readonly base_model: string | null;
  readonly tensors: number;
  readonly parameters: number;
  /** Tensors of the inputs. They are read once more to be hashed, and large ones once for every pass of the method. */
  readonly read_bytes: number;
  readonly write_bytes: number;
  /** Files of weights. */
  readonly shards: number;
  readonly largest_tensor_bytes: number;
  readonly threads: number;
  /** An estimate of the private memory, which does not depend on the model's size. */
  readonly memory_bytes: number;
  /** On the disk of the output, where one was named; null where the system does not say. */
  readonly free_disk_bytes?: number | null;
  /** The output holds this merge already. */
  readonly already_done?: boolean;
  readonly warnings: readonly string[];
}

/** Node with what the command loads, and each thread with its block and what `ties`, which takes most, keeps; measured. */
const PROCESS_BYTES = 40e6;
const THREAD_BYTES = 45e6;

export interface PreviewOptions extends Partial<MergeOptions> {
  /** Headers of weights that are not here yet. */
  readonly outlines?: Outlines;
}

/** Without `out` nothing is said about a disk. */
export async function previewMerge(config: MergeConfig, options: PreviewOptions): Promise<MergePreview> {
  const { out, baseFolder = ".", hub, outlines, likeMergekit = false, shardBytes = SHARD_BYTES, threads } = options;
  const plan = await planMerge(config, { baseFolder, hub, outlines }, likeMergekit);
  const shards = planShards(outputTensors(plan), shardBytes);
  const size = shards.reduce((sum, { bytes }) => sum + bytes, 0);
  const sizes = plan.tensors.map((tensor) => outputEntries(tensor) * DTYPE_BYTES[outputDtype(tensor)]);
  // Hashing is as much work for the threads as merging.
  const useful = threads ?? usefulThreads(2 * plan.bytesIn, plan.tensors.length);
  const preview: MergePreview = {
    method: plan.method.name,
    models: plan.models.map(({ name }) => name),
    base_model: plan.base?.name ?? null,
    tensors: plan.tensors.length,
    parameters: plan.tensors.reduce((total, tensor) => total + outputEntries(tensor), 0),
    read_bytes: plan.bytesIn,
    write_bytes: size,
    shards: shards.length,
    largest_tensor_bytes: sizes.reduce((most, bytes) => Math.max(most, bytes), 0),
    threads: useful,
    memory_bytes: PROCESS_BYTES + useful * THREAD_BYTES,
    warnings: plan.warnings,
  };
  if (out === undefined) return preview;
  const done = (await findFinished(out, plan, likeMergekit)) !== null;
  if (!done) await checkSpace(resolve(out), size);
  return { ...preview, free_disk_bytes: (await freeBytes(resolve(out))) ?? null, already_done: done };
}
