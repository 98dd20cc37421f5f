/**
 * What every conversation teaches, in a file of its own while a target trains: tokens, labels and target distributions
 * follow from data and shards alone, so they are made once and not again in every epoch, and a step reads its batch.
 * It lies in the target's folder under a temporary name, and goes with the training.
 */
import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { TrainSequence } from "../engine/engine.ts";
import { failure } from "../errors.ts";
import { fileError, readFully, writeFully } from "../formats/files.ts";

export interface LessonFile {
  /** Adds a conversation. */
  append(lesson: TrainSequence): Promise<void>;
  /** The conversation that was added as number `place`. */
  read(place: number): Promise<TrainSequence>;
  /** Removes the file. */
  dispose(): Promise<void>;
}

/** Where a conversation begins in the file, and how many numbers of each kind it has. */
interface Place {
  readonly begin: number;
  readonly ids: number;
  readonly rows: number;
}

const BYTES = Int32Array.BYTES_PER_ELEMENT;
/** Numbers that are written at once, 4 MB. */
const PIECE = 1 << 20;

/** `width` is W of the targets; `hasTail` tells whether each row has the mass of a tail, too. */
export async function openLessonFile(folder: string, width: number, hasTail: boolean): Promise<LessonFile> {
  const path = join(folder, `lessons.${process.pid}.tmp`);
  let handle: FileHandle;
  try {
    handle = await open(path, "w+");
  } catch (error) {
    throw fileError(path, error);
  }
  const places: Place[] = [];
  let written = 0;
  let waiting: Int32Array[] = [];
  let length = 0;

  const flush = async (): Promise<void> => {
    const together = new Int32Array(length);
    let at = 0;
    for (const numbers of waiting) {
      together.set(numbers, at);
      at += numbers.length;
    }
    try {
      await writeFully(handle, new Uint8Array(together.buffer), written);
    } catch (error) {
      throw fileError(path, error);
    }
    written += together.byteLength;
    waiting = [];
    length = 0;
  };

  return {
    append: async ({ ids, positions, targetId, targetProbability, tailProbability }) => {
      places.push({ begin: written + length * BYTES, ids: ids.length, rows: positions.length });
      for (const numbers of [ids, positions, targetId, bitsOf(targetProbability), bitsOf(tailProbability)]) {
        waiting.push(numbers);
        length += numbers.length;
      }
      if (length >= PIECE) await flush();
    },
    read: async (place) => {
      if (length > 0) await flush();
      const { begin, ids, rows } = places[place]!;
      const all = new Int32Array(ids + rows * (1 + 2 * width + (hasTail ? 1 : 0)));
      try {
        const count = await readFully(handle, new Uint8Array(all.buffer), begin);
        if (count < all.byteLength) throw failure(path, "was cut while the training ran; run the same command again");
      } catch (error) {
        throw fileError(path, error);
      }
      let at = 0;
      const next = (count: number): Int32Array => {
        at += count;
        return all.subarray(at - count, at);
      };
      return {
        ids: next(ids),
        positions: next(rows),
        targetId: next(rows * width),
        targetProbability: floatsOf(next(rows * width)),
        tailProbability: hasTail ? floatsOf(next(rows)) : null,
      };
    },
    dispose: async () => {
      await handle.close();
      await rm(path, { force: true });
    },
  };
}

function bitsOf(floats: Float32Array | null): Int32Array {
  return floats === null ? new Int32Array(0) : new Int32Array(floats.buffer, floats.byteOffset, floats.length);
}

function floatsOf(bits: Int32Array): Float32Array {
  return new Float32Array(bits.buffer, bits.byteOffset, bits.length);
}
