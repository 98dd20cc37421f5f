/** Teacher passes and logits: sequences in micro-batches through a model's forward programs. */
import { isLongSequence } from "../../models/index.ts";
import type { RankedRows, RowBatch } from "../engine.ts";
import type { PackedSequences } from "../packed.ts";
import { lengthBucket, planBatches, shapeKey } from "./batches.ts";
import type { LoadedModel } from "./loaded-model.ts";
import { batchInputs, collectRows, extents, POSITION_BUDGET } from "./micro-batches.ts";
import { logitsProgram } from "./programs/logits.ts";
import { rowsProgram } from "./programs/rows.ts";
import type { Runtime } from "./runtime.ts";

/** Distributions of all rows, in the order of the sequences and their positions. */
export function computeRows(
  loaded: LoadedModel,
  runtime: Runtime,
  sequences: PackedSequences,
  topK: number,
): Promise<RowBatch> {
  return runRows(loaded, runtime, sequences, topK, null);
}

/** The same with the rank of each label, for servers, which generate too. All weights are in memory then, in the layout of that. */
export async function computeRankedRows(
  loaded: LoadedModel,
  runtime: Runtime,
  sequences: PackedSequences,
  topK: number,
): Promise<RankedRows> {
  const labelRank = new Int32Array(sequences.positions.length);
  const rows = await runRows(loaded, runtime, sequences, topK, labelRank);
  return { ...rows, labelRank };
}

/** `labelRank` [R] takes the ranks, where they are wanted. */
async function runRows(
  { model, resident }: LoadedModel,
  runtime: Runtime,
  sequences: PackedSequences,
  topK: number,
  labelRank: Int32Array | null,
): Promise<RowBatch> {
  const collected = collectRows(sequences.positions.length, topK);
  const drawn = sequences.uniform !== null;
  const ranks = labelRank !== null;
  const inputs = await resident(ranks ? "panels" : "rows");
  for (const batch of planBatches(extents(sequences, model.config), POSITION_BUDGET)) {
    const { size, length, rows, isLong } = batch;
    const wanted = `${rows} rows, ${drawn ? "drawn" : "top"} ${topK}${ranks ? " and ranks" : ""}`;
    const session = await runtime.session(`${model.folder}: rows ${shapeKey(batch)}, ${wanted}`, () =>
      rowsProgram(model, { batch: size, length, isLong, rows, topK, ranks, drawn, panels: ranks }),
    );
    const feeds = batchInputs(runtime, batch, sequences);
    const outputs = await session.run({ ...inputs, ...feeds.tensors });
    const ahead = outputs.ahead?.data as Float32Array | undefined;
    feeds.rows.forEach((row, n) => {
      if (labelRank !== null) labelRank[row] = 1 + (ahead?.[n] ?? Number.NaN);
    });
    const topId = outputs.top_id!.data as Int32Array;
    collected.take(feeds.rows, {
      labelLogp: outputs.label_logp!.data as Float32Array,
      topId,
      topLogp: drawn
        ? drawnLogp(topId, outputs.top_count!.data as Float32Array, topK)
        : (outputs.top_logp!.data as Float32Array),
    });
  }
  return collected.finish(model.folder);
}

/** Log-probabilities of counts; ids that were not drawn are unused places, whose id becomes 0. */
function drawnLogp(topId: Int32Array, count: Float32Array, topK: number): Float32Array {
  return count.map((drawn, place) => {
    if (drawn === 0) topId[place] = 0;
    return Math.log(drawn / topK);
  });
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
  const { logits } = await session.run({ ...(await resident("rows")), ids: runtime.tensor(padded, [1, length]) });
  return (logits!.data as Float32Array).slice(0, ids.length * model.config.vocabularySize);
}
