/** Sequences on their way into micro-batches, and the distributions of micro-batches on their way back. */
import { failure } from "../../errors.ts";
import { isLongSequence, type ModelConfig } from "../../models/index.ts";
import type { RowBatch } from "../engine.ts";
import type { PackedSequences } from "../packed.ts";
import type { MicroBatch } from "./batches.ts";
import type { Runtime, Tensors } from "./runtime.ts";

/** Positions of one micro-batch: enough for full matrix speed, and 2,048 x 152k logits are never made at once. */
export const POSITION_BUDGET = 2048;

/**
 * What each sequence asks for. What follows its last label's row is not read at all, though it counts where a model turns
 * long sequences otherwise.
 */
export function extents(
  { positions, idStart, rowStart }: PackedSequences,
  config: ModelConfig,
): { length: number; rows: number; isLong: boolean }[] {
  return Array.from({ length: rowStart.length - 1 }, (_, s) => {
    const rows = rowStart[s + 1]! - rowStart[s]!;
    return {
      length: rows === 0 ? 0 : positions[rowStart[s + 1]! - 1]!,
      rows,
      isLong: isLongSequence(config, idStart[s + 1]! - idStart[s]!),
    };
  });
}

/**
 * The ids [B, T], row indices [N] and labels [N] of a micro-batch, padded at the end: padding comes after all that is
 * read, where causal attention never looks. Drawn rows have numbers `uniform` [N, 1], too. `rows` are the rows' places
 * among all rows; padding rows have none.
 */
export function batchInputs(
  runtime: Runtime,
  { size, length, rows: capacity, members }: MicroBatch,
  { ids, idStart, positions, rowStart, uniform }: PackedSequences,
): { tensors: Tensors; rows: Int32Array } {
  const batchIds = new Int32Array(size * length);
  const rowIndex = new Int32Array(capacity);
  const label = new Int32Array(capacity);
  const drawn = new Float32Array(uniform === null ? 0 : capacity);
  const rows = new Int32Array(members.reduce((sum, s) => sum + rowStart[s + 1]! - rowStart[s]!, 0));
  let n = 0;
  members.forEach((s, b) => {
    const start = idStart[s]!;
    batchIds.set(ids.subarray(start, start + Math.min(length, idStart[s + 1]! - start)), b * length);
    for (let row = rowStart[s]!; row < rowStart[s + 1]!; row++, n++) {
      const position = positions[row]!;
      rowIndex[n] = b * length + position - 1;
      label[n] = ids[start + position]!;
      rows[n] = row;
      if (uniform !== null) drawn[n] = uniform[row]!;
    }
  });
  const tensors = {
    ids: runtime.tensor(batchIds, [size, length]),
    row_index: runtime.tensor(rowIndex, [capacity]),
    label: runtime.tensor(label, [capacity]),
    ...(uniform === null ? {} : { uniform: runtime.tensor(drawn, [capacity, 1]) }),
  };
  return { tensors, rows };
}

/** Distributions of micro-batches on their way into the order of the sequences and their positions. */
export interface CollectedRows {
  /** `rows[n]` is the place of the n-th row of a micro-batch; the padding rows behind them have none. */
  take(rows: Int32Array, found: RowBatch): void;
  /** All rows. Throws where a label's probability came out as NaN. */
  finish(folder: string): RowBatch;
}

export function collectRows(total: number, topK: number): CollectedRows {
  const labelLogp = new Float32Array(total);
  const topId = new Int32Array(total * topK);
  const topLogp = new Float32Array(total * topK);
  return {
    take: (rows, found) => {
      rows.forEach((row, n) => {
        labelLogp[row] = found.labelLogp[n]!;
        topId.set(found.topId.subarray(n * topK, (n + 1) * topK), row * topK);
        topLogp.set(found.topLogp.subarray(n * topK, (n + 1) * topK), row * topK);
      });
    },
    finish: (folder) => {
      const bad = labelLogp.findIndex((value) => Number.isNaN(value));
      if (bad >= 0) throw failure(folder, `row ${bad} came out as NaN; the weights overflow single precision`);
      return { labelLogp, topId, topLogp };
    },
  };
}
