/**
 * Sequences as a few flat arrays: what crosses the thread and what the worker works on. A sequence may be a view of a
 * large buffer, and a message would copy the whole of it; flat copies are small and move without another copy.
 */
import { inputError, internalError } from "../errors.ts";
import type { ModelFacts, Sequence, TrainSequence } from "./engine.ts";

/** S sequences; those of sequence s are `start[s] .. start[s+1]-1` of the flat array. */
export interface PackedSequences {
  /** All ids one after the other. */
  readonly ids: Int32Array;
  /** [S+1] */
  readonly idStart: Int32Array;
  /** All label positions one after the other, counted within their sequence: R in total. */
  readonly positions: Int32Array;
  /** [S+1] */
  readonly rowStart: Int32Array;
  /** [R] by which rows are drawn; null where the most probable ids are wanted. */
  readonly uniform: Float32Array | null;
}

export interface PackedTargets {
  /** W, at least 1: programs have no arrays without columns. */
  readonly width: number;
  /** [R, W] */
  readonly targetId: Int32Array;
  /** [R, W] */
  readonly targetProbability: Float32Array;
  /** [R] or null */
  readonly tailProbability: Float32Array | null;
}

/** What sequences must respect. */
export type ModelLimits = Pick<ModelFacts, "folder" | "vocabulary" | "maxPositions">;

const NOT_DRAWN = new Float32Array(0);

/** Checks and packs. Throws an input error that names the sequence and the position in it. */
export function packSequences(sequences: readonly Sequence[], limits: ModelLimits): PackedSequences {
  const idStart = starts(sequences.map(({ ids }) => ids.length));
  const rowStart = starts(sequences.map(({ positions }) => positions.length));
  const ids = new Int32Array(idStart.at(-1)!);
  const positions = new Int32Array(rowStart.at(-1)!);
  const uniform = sequences.some((sequence) => sequence.uniform !== undefined)
    ? new Float32Array(positions.length)
    : null;
  sequences.forEach((sequence, s) => {
    checkIds(sequence.ids, s, limits);
    let before = 0;
    for (const position of sequence.positions) {
      if (position <= before || position >= sequence.ids.length) {
        throw internalError(
          `label position ${position} of sequence ${s} follows ${before}, of ${sequence.ids.length} ids`,
        );
      }
      before = position;
    }
    ids.set(sequence.ids, idStart[s]!);
    positions.set(sequence.positions, rowStart[s]!);
    if (uniform === null) return;
    const own = sequence.uniform ?? NOT_DRAWN;
    if (own.length !== sequence.positions.length) {
      throw internalError(`sequence ${s} has not a number for each of its rows, as others have`);
    }
    uniform.set(own, rowStart[s]!);
  });
  return { ids, idStart, positions, rowStart, uniform };
}

/** Checks and packs the targets of one optimiser step. */
export function packTargets(sequences: readonly TrainSequence[], limits: ModelLimits): PackedTargets {
  const rows = sequences.reduce((sum, { positions }) => sum + positions.length, 0);
  const first = sequences.find(({ positions }) => positions.length > 0);
  const stored = first === undefined ? 0 : first.targetId.length / first.positions.length;
  const hasTail = first !== undefined && first.tailProbability !== null;
  const width = Math.max(1, stored);
  const targetId = new Int32Array(rows * width);
  const targetProbability = new Float32Array(rows * width);
  const tailProbability = hasTail ? new Float32Array(rows) : null;
  let row = 0;
  sequences.forEach((sequence, s) => {
    const count = sequence.positions.length;
    if (sequence.targetId.length !== count * stored || sequence.targetProbability.length !== count * stored) {
      throw internalError(`the targets of sequence ${s} are not [${count}, ${stored}]`);
    }
    if (count > 0 && (sequence.tailProbability?.length ?? -1) !== (hasTail ? count : -1)) {
      throw internalError(`the tail of sequence ${s} is not as that of the others`);
    }
    for (const id of sequence.targetId) {
      if (id < 0 || id >= limits.vocabulary) throw foreignId(limits, `target of sequence ${s}`, id);
    }
    targetId.set(sequence.targetId, row * width);
    targetProbability.set(sequence.targetProbability, row * width);
    if (sequence.tailProbability !== null) tailProbability?.set(sequence.tailProbability, row);
    row += count;
  });
  return { width, targetId, targetProbability, tailProbability };
}

/** Checks ids against the vocabulary and the context length. */
export function checkIds(ids: Int32Array, sequence: number, limits: ModelLimits): void {
  const { vocabulary, maxPositions, folder } = limits;
  if (maxPositions !== null && ids.length > maxPositions) {
    throw inputError(
      folder,
      `sequence ${sequence} has ${ids.length} tokens, but the context of this model ends at ${maxPositions}; lower max_length`,
    );
  }
  for (let position = 0; position < ids.length; position++) {
    const id = ids[position]!;
    if (id < 0 || id >= vocabulary) throw foreignId(limits, `position ${position} of sequence ${sequence}`, id);
  }
}

function foreignId(limits: ModelLimits, place: string, id: number): Error {
  const last = limits.vocabulary - 1;
  return inputError(
    limits.folder,
    `${place} has id ${id}, but the ids of this model end at ${last}; the tokenizer belongs to another model`,
  );
}

/** [S+1] running sums, from 0. */
function starts(counts: readonly number[]): Int32Array {
  const result = new Int32Array(counts.length + 1);
  counts.forEach((count, index) => {
    result[index + 1] = result[index]! + count;
  });
  return result;
}
