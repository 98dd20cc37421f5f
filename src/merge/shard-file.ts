/**
 * A shard that is being filled, tensor by tensor in any order. What is written is brought to the disk while more is
 * computed, and only then recorded as finished: a merge that is killed goes on from there.
 */
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { fileError } from "../formats/files.ts";
import type { OutputShard } from "./output-shards.ts";
import type { TensorReport } from "./tensor-work.ts";
import { type FinishedTensors, recordTensors } from "./unfinished.ts";

export interface ShardFile {
  /** A tensor's bytes have been written; `place` is its place in the shard. Throws what flushing earlier ones threw. */
  written(place: number, report: TensorReport): void;
  /** The same of the last one: flushes, records and closes. */
  finish(place: number, report: TensorReport): Promise<void>;
  /** Closes; harmless after `finish` or a second time. */
  close(): Promise<void>;
}

/** A file of the shard's size; of what was there, the finished tensors are kept. `hash` is the plan's. */
export async function openShardFile(
  folder: string,
  shard: OutputShard,
  hash: string,
  finished: FinishedTensors = new Map(),
): Promise<ShardFile> {
  const path = join(folder, shard.file);
  const handle = await openFile(path, shard, finished.size > 0);
  const tensors = new Map(finished);
  let recorded = tensors.size;
  let isOpen = true;
  let flushing: Promise<void> | undefined;
  let failed: { readonly error: unknown } | undefined;
  const flush = async (): Promise<void> => {
    const onDisk = new Map(tensors);
    await handle.datasync();
    await recordTensors(folder, shard, hash, onDisk);
    recorded = onDisk.size;
  };
  /** The operating system tells an error of flushing once, so it is kept until the shard is finished. */
  const keepFlushing = async (): Promise<void> => {
    try {
      while (isOpen && recorded < tensors.size) await flush();
    } catch (error) {
      failed = { error };
    }
    flushing = undefined;
  };
  const throwFailed = (): void => {
    if (failed !== undefined) throw fileError(path, failed.error);
  };
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await flushing;
    await handle.close();
  };
  return {
    written: (place, report) => {
      throwFailed();
      tensors.set(place, report);
      flushing ??= keepFlushing();
    },
    finish: async (place, report) => {
      tensors.set(place, report);
      try {
        await flushing;
        throwFailed();
        await handle.sync();
        await recordTensors(folder, shard, hash, tensors);
        await close();
      } catch (error) {
        throw fileError(path, error);
      }
    },
    close,
  };
}

async function openFile(path: string, { header, bytes }: OutputShard, isKept: boolean): Promise<FileHandle> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, isKept ? "r+" : "w");
    if (!isKept) {
      await handle.write(header, 0, header.byteLength, 0);
      await handle.truncate(bytes);
    }
    return handle;
  } catch (error) {
    await handle?.close();
    throw fileError(path, error);
  }
}
