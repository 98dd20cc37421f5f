/**
 * Teacher passes and logits of streamed models: the same micro-batches as of resident ones, in passes of as many tokens
 * as make reading the weights cheap.
 */
import { isLongSequence, type Model } from "../../../models/index.ts";
import type { RowBatch } from "../../engine.ts";
import type { PackedSequences } from "../../packed.ts";
import { lengthBucket, type MicroBatch, planBatches } from "../batches.ts";
import { batchInputs, collectRows, extents, POSITION_BUDGET } from "../micro-batches.ts";
import { PASS_POSITIONS } from "../placement.ts";
import type { Runtime } from "../runtime.ts";
import { streamedHeadLogits, streamedHeadRows } from "./head.ts";
import type { StreamedNetwork } from "./network.ts";
import type { WeightStream } from "./weights.ts";

/** A model whose layers are read when they are needed. */
export interface StreamedModel {
  readonly model: Model;
  readonly weights: WeightStream;
  readonly network: StreamedNetwork;
}

/** Distributions of all rows, in the order of the sequences and their positions. */
export async function computeStreamedRows(
  { model, weights, network }: StreamedModel,
  runtime: Runtime,
  sequences: PackedSequences,
  topK: number,
  passPositions: number = PASS_POSITIONS,
): Promise<RowBatch> {
  const collected = collectRows(sequences.positions.length, topK);
  for (const batches of passes(planBatches(extents(sequences, model.config), POSITION_BUDGET), passPositions)) {
    const feeds = batches.map((batch) => batchInputs(runtime, batch, sequences));
    const states = await network.pass(
      batches.map(({ size, length, isLong }, n) => ({
        size,
        length,
        isLong,
        ids: feeds[n]!.tensors.ids!.data as Int32Array,
        rowIndex: feeds[n]!.tensors.row_index!.data as Int32Array,
      })),
    );
    const labels = feeds.map(({ tensors }) => tensors.label!.data as Int32Array);
    const uniforms =
      sequences.uniform === null ? null : feeds.map(({ tensors }) => tensors.uniform!.data as Float32Array);
    const results = await streamedHeadRows(model, weights, runtime, { states, labels, uniforms }, topK);
    for (const [n, result] of results.entries()) collected.take(feeds[n]!.rows, result);
  }
  return collected.finish(model.folder);
}

/** Logits [T, vocabulary] of one sequence. */
export async function computeStreamedLogits(
  { model, weights, network }: StreamedModel,
  runtime: Runtime,
  ids: Int32Array,
): Promise<Float32Array> {
  if (ids.length === 0) return new Float32Array(0);
  const length = lengthBucket(ids.length);
  const isLong = isLongSequence(model.config, ids.length);
  const padded = new Int32Array(length);
  padded.set(ids);
  const rowIndex = Int32Array.from(ids, (_, position) => position);
  const [state] = await network.pass([{ size: 1, length, isLong, ids: padded, rowIndex }]);
  return streamedHeadLogits(model, weights, runtime, state!);
}

/** Micro-batches in order, as many to a pass as its positions allow and at least one. */
function passes(batches: readonly MicroBatch[], budget: number): MicroBatch[][] {
  const result: MicroBatch[][] = [];
  let positions = Number.POSITIVE_INFINITY;
  for (const batch of batches) {
    const own = batch.size * batch.length;
    if (positions + own > budget) {
      result.push([]);
      positions = 0;
    }
    result.at(-1)!.push(batch);
    positions += own;
  }
  return result;
}
