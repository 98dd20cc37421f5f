/**
 * One tensor of every input, read as often as a method wants and handed over in small chunks of doubles. Blocks of a
 * few million entries come from the files while the block before is being worked on; a tensor that fits into one block
 * is read once. Memory is two blocks, whatever the size of the tensor.
 */
import { type FileHandle, open } from "node:fs/promises";
import { inputError } from "../errors.ts";
import { fileError, readFully } from "../formats/files.ts";
import { DTYPE_BYTES, type TensorInfo } from "../formats/safetensors.ts";
import { findNotFinite, type MergeDtype, type StoredArray, storedView, widener } from "./dtypes.ts";
import { CHUNK_ENTRIES, type Chunk } from "./method.ts";
import type { TensorPlan } from "./plan.ts";
import type { StoredTensor } from "./stored-tensor.ts";
import { createRowReader } from "./vocabulary/read-rows.ts";

/** Bytes of all inputs together in a block: large enough for the disk, small enough not to count. */
const BLOCK_BYTES = 1 << 23;

/** Buffers that stay from one tensor to the next: what is handed out under a name is valid until the name comes again. */
export interface BlockMemory {
  buffer(name: string, bytes: number): ArrayBuffer;
  doubles(name: string, count: number): Float64Array;
}

export function createBlockMemory(): BlockMemory {
  const buffers = new Map<string, ArrayBuffer>();
  const buffer = (name: string, bytes: number): ArrayBuffer => {
    let kept = buffers.get(name);
    if (kept === undefined || kept.byteLength < bytes) {
      kept = new ArrayBuffer(bytes);
      buffers.set(name, kept);
    }
    return kept;
  };
  return { buffer, doubles: (name, count) => new Float64Array(buffer(name, 8 * count), 0, count) };
}

/** Open files of a merge, by path. */
export interface WeightFiles {
  read(info: TensorInfo, start: number, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

export function openWeightFiles(): WeightFiles {
  const handles = new Map<string, Promise<FileHandle>>();
  return {
    read: async (info, start, bytes) => {
      let handle = handles.get(info.file);
      if (handle === undefined) {
        handle = open(info.file, "r");
        handles.set(info.file, handle);
      }
      try {
        const count = await readFully(await handle, bytes, info.offset + start);
        if (count < bytes.byteLength) {
          throw inputError(`${info.file}: ${JSON.stringify(info.name)}`, "the file was cut while it was read");
        }
      } catch (error) {
        throw fileError(info.file, error);
      }
    },
    close: async () => {
      for (const handle of handles.values()) await (await handle.catch(() => undefined))?.close();
    },
  };
}

export interface TensorReader {
  /** Entries of a block; the tensor's last one may be smaller. */
  readonly blockEntries: number;
  /**
   * Reads the whole tensor once: `visit` gets every chunk in order, `afterBlock` hears how many entries are through.
   * Throws an input error where an entry is not finite.
   */
  readAll(visit: (chunk: Chunk) => void, afterBlock?: (done: number) => Promise<void>): Promise<void>;
}

/** `memory` holds the blocks from one tensor to the next. */
export function createTensorReader(
  tensor: TensorPlan,
  cast: MergeDtype | undefined,
  files: WeightFiles,
  memory: BlockMemory,
): TensorReader {
  const stored = tensor.base === undefined ? tensor.models : [...tensor.models, tensor.base];
  const widths = stored.map(({ dtype }) => DTYPE_BYTES[dtype]);
  const entryBytes = widths.reduce((total, width) => total + width, 0);
  const blockEntries = Math.max(1, Math.floor(BLOCK_BYTES / entryBytes / CHUNK_ENTRIES)) * CHUNK_ENTRIES;
  const widen = stored.map(({ mergeDtype }) => widener(mergeDtype, cast));
  const models = memory.doubles("models", tensor.models.length * CHUNK_ENTRIES);
  const base = memory.doubles("base", tensor.base === undefined ? 0 : CHUNK_ENTRIES);

  const rows = createRowReader(files.read);

  const load = async (start: number): Promise<Block> => {
    const entries = Math.min(blockEntries, tensor.size - start);
    const buffers = widths.map((width, j) => memory.buffer(`${(start / blockEntries) % 2} ${j}`, width * entries));
    const arrays = stored.map(({ mergeDtype }, j) => storedView(mergeDtype, buffers[j]!, entries));
    await Promise.all(
      stored.map((info, j) =>
        info.rows === undefined
          ? files.read(info, start * widths[j]!, new Uint8Array(buffers[j]!, 0, widths[j]! * entries))
          : rows.read(info.rows, start, arrays[j] as Float64Array),
      ),
    );
    return { start, entries, arrays };
  };
  let checked = 0;
  const visitBlock = ({ start, entries, arrays }: Block, visit: (chunk: Chunk) => void): void => {
    for (let from = 0; from < entries; from += CHUNK_ENTRIES) {
      const count = Math.min(CHUNK_ENTRIES, entries - from);
      const isNew = start + from >= checked;
      if (isNew) checked = start + from + count;
      for (const [j, array] of arrays.entries()) {
        if (isNew) {
          // Here the entries are in the cache, which they would not be block by block.
          const bad = findNotFinite(stored[j]!.mergeDtype, array.subarray(from, from + count) as StoredArray, count);
          if (bad >= 0) throw notFinite(stored[j]!, start + from + bad, undefined);
        }
        const isModel = j < tensor.models.length;
        const bad = widen[j]!(array, from, count, isModel ? models : base, isModel ? j * CHUNK_ENTRIES : 0);
        if (bad >= 0) throw notFinite(stored[j]!, start + from + bad, cast);
      }
      visit({ start: start + from, count, models, base });
    }
  };

  let resident: Block | undefined;
  return {
    blockEntries,
    readAll: async (visit, afterBlock) => {
      if (tensor.size === 0) return;
      let next = resident === undefined ? load(0) : Promise.resolve(resident);
      for (let start = 0; start < tensor.size; start += blockEntries) {
        const block = await next;
        const following = start + blockEntries;
        if (following < tensor.size) {
          next = load(following);
          // Its failure is told when the block is awaited, not while nobody listens.
          next.catch(() => {});
        }
        visitBlock(block, visit);
        await afterBlock?.(start + block.entries);
        if (block.entries === tensor.size) resident = block;
      }
    },
  };
}

interface Block {
  readonly start: number;
  readonly entries: number;
  /** One per input, models first. */
  readonly arrays: readonly StoredArray[];
}

function notFinite(tensor: StoredTensor, index: number, cast: MergeDtype | undefined): Error {
  const place: number[] = [];
  let rest = index;
  for (const extent of [...tensor.shape].reverse()) {
    place.unshift(rest % extent);
    rest = Math.floor(rest / extent);
  }
  if (tensor.firstRow !== undefined) place[0] = place[0]! + tensor.firstRow;
  const found = cast === undefined ? "NaN or infinity" : `a value too large for ${cast}`;
  return inputError(
    `${tensor.file}: ${JSON.stringify(tensor.name)}`,
    `expected finite weights, found ${found} at [${place.join(", ")}]`,
  );
}
