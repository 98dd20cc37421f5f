/** Teacher passes and logits: sequences in micro-batches through a model's forward programs. */
import { isLongSequence } from "../../models/index.ts";
import type { RowBatch } from "../engine.ts";
import type { PackedSequences } from "../packed.ts";
import { lengthBucket, planBatches, shapeKey } from "./batches.ts";
import type { LoadedModel } from "./loaded-model.ts";
import { batchInputs, collectRows, extents, POSITION_BUDGET } from "./micro-batches.ts";
import { logitsProgram } from "./programs/logits.ts";
import { rowsProgram } from "./programs/rows.ts";
import type { Runtime } from "./runtime.ts";

/** Distributions of all rows, in the order of the sequences and their positions. */
export async function computeRows(
  { model, resident }: LoadedModel,
  runtime: Runtime,
  sequences: PackedSequences,
  topK: number,
): Promise<RowBatch> {
  const collected = collectRows(sequences.positions.length, topK);
  const inputs = await resident();
  for (const batch of planBatches(extents(sequences, model.config), POSITION_BUDGET)) {
    const { size, length, rows, isLong } = batch;
    const session = await runtime.session(`${model.folder}: rows ${shapeKey(batch)}, ${rows} rows, top ${topK}`, () =>
      rowsProgram(model, { batch: size, length, isLong, rows, topK }),
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

/** Logits [T, vocabulary] of one sequence. */
export async function computeLogits(
  { model, resident }: LoadedModel,
  runtime: Runtime,
  ids: Int32Array,
): Promise<Float32Array> {
  if (ids.length === 0) return new Float32Array(0);
  const length = lengthBucket(ids.length);
  const isLong = isLongSequence(model.config, ids.length);
  const session = await runtime.session(`${model.folder}: logits ${shapeKey({ size: 1, length, isLong })}`, () =>
    logitsProgram(model, { batch: 1, length, isLong }),
  );
  const padded = new Int32Array(length);
  padded.set(ids);
  const { logits } = await session.run({ ...(await resident()), ids: runtime.tensor(padded, [1, length]) });
  return (logits!.data as Float32Array).slice(0, ids.length * model.config.vocabularySize);
}
