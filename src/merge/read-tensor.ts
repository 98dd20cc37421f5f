/**
 * One tensor of every input, read as often as a method wants and handed over in small chunks of doubles. A block of
 * some hundred thousand entries is read by the thread that works on it, and is then in its core's cache: by way of
 * another thread, while the block before is worked on, all took a fifth longer, and the operating system reads ahead as
 * it is. A tensor that fits into one block is read once. Memory is one block, whatever the size of the tensor.
 */
import { readSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { inputError } from "../errors.ts";
import { fileError } from "../formats/files.ts";
import { DTYPE_BYTES, type TensorInfo } from "../formats/safetensors.ts";
import type { BlockMemory } from "./block-memory.ts";
import { CHUNK_ENTRIES, type Chunk } from "./chunk.ts";
import { type MergeDtype, promote, rounder, type StoredArray, storedView, widener } from "./dtypes.ts";
import { createEntryReader } from "./read-entries.ts";
import { repairChunk } from "./repair.ts";
import type { StoredTensor } from "./stored-tensor.ts";
import type { TensorPlan } from "./tensor-plan.ts";
import { createRowReader } from "./vocabulary/read-rows.ts";

/** Bytes of all inputs together in a block: large enough for the disk, small enough for the cache. */
const BLOCK_BYTES = 1 << 21;
/** What kernels take at once: behind the last entry of a chunk there are zeros up to a multiple of it. */
const VECTOR_ENTRIES = 8;

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
        const { fd } = await handle;
        for (let done = 0; done < bytes.byteLength; ) {
          const count = readSync(fd, bytes, done, bytes.byteLength - done, info.offset + start + done);
          if (count === 0) {
            throw inputError(`${info.file}: ${JSON.stringify(info.name)}`, "the file was cut while it was read");
          }
          done += count;
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
   * Throws an input error where an entry is not finite, unless such entries are repaired.
   */
  readAll(visit: (chunk: Chunk) => void, afterBlock?: (done: number) => Promise<void>): Promise<void>;
  /** Entries of each input that were repaired in the first reading, the base last. */
  readonly repaired: readonly number[];
}

export interface Conversion {
  /** The dtype inputs are rounded to when read. */
  readonly cast: MergeDtype | undefined;
  /** Entries that are not finite are repaired instead of refused. */
  readonly repair: boolean;
}

/** `memory` holds the blocks from one tensor to the next. */
export function createTensorReader(
  tensor: TensorPlan,
  { cast, repair }: Conversion,
  files: WeightFiles,
  memory: BlockMemory,
): TensorReader {
  const stored = tensor.base === undefined ? tensor.models : [...tensor.models, tensor.base];
  const widths = stored.map(({ dtype }) => DTYPE_BYTES[dtype]);
  const entryBytes = widths.reduce((total, width) => total + width, 0);
  const blockEntries = Math.max(1, Math.floor(BLOCK_BYTES / entryBytes / CHUNK_ENTRIES)) * CHUNK_ENTRIES;
  const models = memory.doubles("models", tensor.models.length * CHUNK_ENTRIES);
  const base = memory.doubles("base", tensor.base === undefined ? 0 : CHUNK_ENTRIES);
  const widened = stored.map((_, j) =>
    j < tensor.models.length ? models.subarray(j * CHUNK_ENTRIES, (j + 1) * CHUNK_ENTRIES) : base,
  );
  // A repaired entry may be another model's, which has to be rounded like its own.
  const widen = stored.map(({ mergeDtype }) => widener(mergeDtype, repair ? undefined : cast));
  const round = stored.map(({ mergeDtype }) =>
    repair && cast !== undefined && promote([mergeDtype, cast]) !== cast ? rounder(cast) : undefined,
  );
  const repaired = stored.map(() => 0);
  let counted = 0;
  const entriesOf = createEntryReader(files.read);
  const rows = createRowReader(entriesOf);
  const fill = (
    info: StoredTensor,
    j: number,
    start: number,
    bytes: Uint8Array,
    values: StoredArray,
  ): Promise<void> => {
    if (info.rows !== undefined) return rows.read(info.rows, start, values as Float64Array);
    if (info.adapted === undefined) return files.read(info, start * widths[j]!, bytes);
    const skipped = (info.firstRow ?? 0) * (info.shape[1] ?? 1);
    return entriesOf(info.adapted, skipped + start, values as Float64Array);
  };

  const load = async (start: number): Promise<Block> => {
    const entries = Math.min(blockEntries, tensor.size - start);
    const bytes = widths.map((width, j) => memory.bytes(`block ${j}`, width * entries));
    const arrays = stored.map(({ mergeDtype }, j) => storedView(mergeDtype, bytes[j]!, entries));
    await Promise.all(stored.map((info, j) => fill(info, j, start, bytes[j]!, arrays[j]!)));
    return { start, entries, arrays };
  };
  const visitBlock = ({ start, entries, arrays }: Block, visit: (chunk: Chunk) => void): void => {
    for (let from = 0; from < entries; from += CHUNK_ENTRIES) {
      const count = Math.min(CHUNK_ENTRIES, entries - from);
      const end = Math.ceil(count / VECTOR_ENTRIES) * VECTOR_ENTRIES;
      const chunk = { start: start + from, count, models, base };
      let isSound = true;
      for (const [j, array] of arrays.entries()) {
        const bad = widen[j]!(array, from, count, widened[j]!);
        if (bad >= 0 && !repair) throw notFinite(stored[j]!, array, start, from + bad, cast);
        isSound &&= bad < 0;
        if (end > count) widened[j]!.fill(0, count, end);
      }
      if (!isSound) repairChunk(chunk, chunk.start < counted ? stored.map(() => 0) : repaired);
      counted = Math.max(counted, chunk.start + count);
      for (const [j, roundValues] of round.entries()) {
        const bad = roundValues?.(widened[j]!, count) ?? -1;
        if (bad >= 0) throw tooLarge(stored[j]!, chunk.start + bad, cast!);
      }
      visit(chunk);
    }
  };

  let resident: Block | undefined;
  return {
    blockEntries,
    repaired,
    readAll: async (visit, afterBlock) => {
      if (tensor.size === 0) return;
      for (let start = 0; start < tensor.size; start += blockEntries) {
        const block = resident ?? (await load(start));
        if (block.entries === tensor.size) resident = block;
        visitBlock(block, visit);
        await afterBlock?.(start + block.entries);
        // Whoever waits for this thread, such as Ctrl-C, has a turn.
        await setImmediate();
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

/** What is wrong with entry `bad` of a block that begins at entry `start`: in the file, or once it is cast. */
function notFinite(
  tensor: StoredTensor,
  block: StoredArray,
  start: number,
  bad: number,
  cast: MergeDtype | undefined,
): Error {
  const isInFile = widener(tensor.mergeDtype, undefined)(block, bad, 1, new Float64Array(1)) >= 0;
  if (!isInFile) return tooLarge(tensor, start + bad, cast!);
  const advice = "look for another copy of the model, or merge with --repair";
  return badEntry(tensor, start + bad, "NaN or infinity", advice);
}

function tooLarge(tensor: StoredTensor, entry: number, cast: MergeDtype): Error {
  return badEntry(tensor, entry, `a value too large for ${cast}`, "choose a wider dtype");
}

function badEntry(tensor: StoredTensor, entry: number, found: string, advice: string): Error {
  const place: number[] = [];
  let rest = entry;
  for (const extent of [...tensor.shape].reverse()) {
    place.unshift(rest % extent);
    rest = Math.floor(rest / extent);
  }
  if (tensor.firstRow !== undefined) place[0] = place[0]! + tensor.firstRow;
  return inputError(
    `${tensor.file}: ${JSON.stringify(tensor.name)}`,
    `expected finite weights, found ${found} at [${place.join(", ")}]; ${advice}`,
  );
}
