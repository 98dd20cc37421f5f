/**
 * Distributions and logits from what the head reads, over blocks of the vocabulary: each block of the head is read once
 * a pass, and neither the whole head nor the logits of all rows are ever in memory.
 */
import type { Tensor } from "onnxruntime-node";
import type { Model } from "../../../models/index.ts";
import type { RowBatch } from "../../engine.ts";
import { headLogitsProgram, headRowsProgram } from "../programs/head.ts";
import type { Runtime } from "../runtime.ts";
import { createDraws, drawBlock, finishDraws } from "./draws.ts";
import { addBlock, createTotals, normalise } from "./totals.ts";
import type { WeightStream } from "./weights.ts";

/** Rows whose logits over one block exist at a time. */
const CHUNK_ROWS = 512;

/** Rows of several micro-batches before the head: `states[n]` is [N, hidden], `labels[n]` [N], of drawn rows `uniforms[n]` too. */
export interface HeadRows {
  readonly states: readonly Float32Array[];
  readonly labels: readonly Int32Array[];
  readonly uniforms: readonly Float32Array[] | null;
}

/** The distributions of all rows, a batch for each micro-batch. */
export async function streamedHeadRows(
  model: Model,
  weights: WeightStream,
  runtime: Runtime,
  { states, labels, uniforms }: HeadRows,
  topK: number,
): Promise<RowBatch[]> {
  const totals = labels.map((own) => createTotals(own.length, topK));
  await eachBlock(model, weights, async (first, head) => {
    const block = head.dims[0]!;
    const kept = Math.min(topK, block);
    for (const [n, state] of states.entries()) {
      await eachChunk(runtime, model, state, async (start, rows, x) => {
        const key = `${model.folder}: head ${rows} x ${block}, top ${kept}`;
        const session = await runtime.session(key, () => headRowsProgram(model, { rows, block, topK: kept }));
        const label = new Int32Array(rows);
        for (let row = 0; row < rows; row++) {
          const id = labels[n]![start + row]! - first;
          label[row] = id >= 0 && id < block ? id : 0;
        }
        const outputs = await session.run({ x, head, label: runtime.tensor(label, [rows]) });
        addBlock(totals[n]!, labels[n]!, start, {
          first,
          size: block,
          kept,
          logSum: outputs.log_sum!.data as Float32Array,
          labelLogit: outputs.label_logit!.data as Float32Array,
          topId: outputs.top_id!.data as Int32Array,
          topLogit: outputs.top_logit!.data as Float32Array,
        });
      });
    }
  });
  const found = totals.map(normalise);
  if (uniforms === null) return found;
  // The head is read once more: where a place falls is known only when all of the sum is.
  const draws = totals.map(({ logSum }, n) => createDraws(logSum, uniforms[n]!, topK));
  await eachBlock(model, weights, async (first, head) => {
    for (const [n, state] of states.entries()) {
      await eachChunk(runtime, model, state, async (start, rows, x) => {
        const block = head.dims[0]!;
        const key = `${model.folder}: head ${rows} x ${block}, logits`;
        const session = await runtime.session(key, () => headLogitsProgram(model, { rows, block }));
        drawBlock(draws[n]!, start, first, block, (await session.run({ x, head })).logits!.data as Float32Array);
      });
    }
  });
  return found.map(({ labelLogp }, n) => ({ labelLogp, ...finishDraws(draws[n]!) }));
}

/** Logits [N, vocabulary] of one micro-batch's rows. */
export async function streamedHeadLogits(
  model: Model,
  weights: WeightStream,
  runtime: Runtime,
  state: Float32Array,
): Promise<Float32Array> {
  const { vocabularySize, hiddenSize } = model.config;
  const result = new Float32Array((state.length / hiddenSize) * vocabularySize);
  await eachBlock(model, weights, async (first, head) => {
    const block = head.dims[0]!;
    await eachChunk(runtime, model, state, async (start, rows, x) => {
      const key = `${model.folder}: head ${rows} x ${block}, logits`;
      const session = await runtime.session(key, () => headLogitsProgram(model, { rows, block }));
      const logits = (await session.run({ x, head })).logits!.data as Float32Array;
      for (let row = 0; row < rows; row++) {
        result.set(logits.subarray(row * block, (row + 1) * block), (start + row) * vocabularySize + first);
      }
    });
  });
  return result;
}

/** The head in blocks of nearly equal size. */
async function eachBlock(
  model: Model,
  weights: WeightStream,
  work: (first: number, head: Tensor) => Promise<void>,
): Promise<void> {
  const { vocabularySize } = model.config;
  const block = Math.ceil(vocabularySize / Math.ceil(vocabularySize / weights.headRows));
  for (let first = 0; first < vocabularySize; first += block) {
    await work(first, await weights.head(first, Math.min(block, vocabularySize - first)));
  }
}

async function eachChunk(
  runtime: Runtime,
  model: Model,
  state: Float32Array,
  work: (start: number, rows: number, x: Tensor) => Promise<void>,
): Promise<void> {
  const { hiddenSize } = model.config;
  const total = state.length / hiddenSize;
  for (let start = 0; start < total; start += CHUNK_ROWS) {
    const rows = Math.min(CHUNK_ROWS, total - start);
    const x = runtime.tensor(state.subarray(start * hiddenSize, (start + rows) * hiddenSize), [rows, hiddenSize]);
    await work(start, rows, x);
  }
}
