/** Teacher passes and logits: sequences in micro-batches through a model's forward programs. */
import { failure } from "../../errors.ts";
import type { RowBatch } from "../engine.ts";
import { lengthBucket, type MicroBatch, planBatches } from "./batches.ts";
import type { LoadedModel } from "./loaded-model.ts";
import type { PackedSequences } from "./packed.ts";
import { logitsProgram } from "./programs/logits.ts";
import { rowsProgram } from "./programs/rows.ts";
import type { Runtime, Tensors } from "./runtime.ts";

/** Positions of one micro-batch: enough for full matrix speed, and 2,048 x 152k logits are never made at once. */
export const POSITION_BUDGET = 2048;

/** Distributions of all rows, in the order of the sequences and their positions. */
export async function computeRows(
  { model, resident }: LoadedModel,
  runtime: Runtime,
  sequences: PackedSequences,
  topK: number,
): Promise<RowBatch> {
  const collected = collectRows(sequences.positions.length, topK);
  const inputs = await resident();
  for (const batch of planBatches(extents(sequences), POSITION_BUDGET)) {
    const { size, length, rows } = batch;
    const session = await runtime.session(`${model.folder}: rows ${size} x ${length}, ${rows} rows, top ${topK}`, () =>
      rowsProgram(model, { batch: size, length, rows, topK }),
    );
    const feeds = batchInputs(runtime, batch, sequences);
    const outputs = await session.run({ ...inputs, ...feeds.tensors });
    collected.take(feeds.rows, {
      labelLogp: outputs.label_logp!.data as Float32Array,
      topId: outputs.top_id!.data as Int32Array,
      topLogp: outputs.top_logp!.data as Float32Array,
    });
  }
  return collected.finish(model.folder);
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

/** Logits [T, vocabulary] of one sequence. */
export async function computeLogits(
  { model, resident }: LoadedModel,
  runtime: Runtime,
  ids: Int32Array,
): Promise<Float32Array> {
  if (ids.length === 0) return new Float32Array(0);
  const length = lengthBucket(ids.length);
  const session = await runtime.session(`${model.folder}: logits 1 x ${length}`, () =>
    logitsProgram(model, { batch: 1, length }),
  );
  const padded = new Int32Array(length);
  padded.set(ids);
  const { logits } = await session.run({ ...(await resident()), ids: runtime.tensor(padded, [1, length]) });
  return (logits!.data as Float32Array).slice(0, ids.length * model.config.vocabularySize);
}

/** What each sequence asks for. What follows its last label's row is not read at all. */
export function extents({ positions, rowStart }: PackedSequences): { length: number; rows: number }[] {
  return Array.from({ length: rowStart.length - 1 }, (_, s) => {
    const rows = rowStart[s + 1]! - rowStart[s]!;
    return { length: rows === 0 ? 0 : positions[rowStart[s + 1]! - 1]!, rows };
  });
}

/**
 * The ids [B, T], row indices [N] and labels [N] of a micro-batch, padded at the end: padding comes after all that is
 * read, where causal attention never looks. `rows` are the rows' places among all rows; padding rows have none.
 */
export function batchInputs(
  runtime: Runtime,
  { size, length, rows: capacity, members }: MicroBatch,
  { ids, idStart, positions, rowStart }: PackedSequences,
): { tensors: Tensors; rows: Int32Array } {
  const batchIds = new Int32Array(size * length);
  const rowIndex = new Int32Array(capacity);
  const label = new Int32Array(capacity);
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
    }
  });
  const tensors = {
    ids: runtime.tensor(batchIds, [size, length]),
    row_index: runtime.tensor(rowIndex, [capacity]),
    label: runtime.tensor(label, [capacity]),
  };
  return { tensors, rows };
}
