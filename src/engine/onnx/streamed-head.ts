/**
 * Distributions and logits from what the head reads, over blocks of the vocabulary: each block of the head is read once
 * a pass, and neither the whole head nor the logits of all rows are ever in memory. Blocks are combined exactly, in
 * double precision: log-sum-exps add up, and the most probable ids are found among those of every block.
 */
import type { Model } from "../../models/index.ts";
import { headLogitsProgram, headRowsProgram } from "./programs/head.ts";
import type { Runtime } from "./runtime.ts";
import type { WeightStream } from "./streamed-weights.ts";

/** Rows whose logits over one block exist at a time. */
const CHUNK_ROWS = 512;

/** Rows of several micro-batches before the head: `states[n]` is [N, hidden], `labels[n]` [N]. */
export interface HeadRows {
  readonly states: readonly Float32Array[];
  readonly labels: readonly Int32Array[];
}

/** Distributions of the rows of one micro-batch, as `RowBatch` has them. */
export interface HeadResult {
  /** [N] nats */
  readonly labelLogp: Float32Array;
  /** [N, K] */
  readonly topId: Int32Array;
  /** [N, K] nats */
  readonly topLogp: Float32Array;
}

/** The distributions of all rows, micro-batch by micro-batch. */
export async function streamedHeadRows(
  model: Model,
  weights: WeightStream,
  runtime: Runtime,
  { states, labels }: HeadRows,
  topK: number,
): Promise<HeadResult[]> {
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
  return totals.map(normalise);
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

type HeadBlock = Awaited<ReturnType<WeightStream["head"]>>;

/** The head in blocks of nearly equal size. */
async function eachBlock(
  model: Model,
  weights: WeightStream,
  work: (first: number, head: HeadBlock) => Promise<void>,
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
  work: (start: number, rows: number, x: HeadBlock) => Promise<void>,
): Promise<void> {
  const { hiddenSize } = model.config;
  const total = state.length / hiddenSize;
  for (let start = 0; start < total; start += CHUNK_ROWS) {
    const rows = Math.min(CHUNK_ROWS, total - start);
    const x = runtime.tensor(state.subarray(start * hiddenSize, (start + rows) * hiddenSize), [rows, hiddenSize]);
    await work(start, rows, x);
  }
}

/** What is known of N rows after some blocks. */
export interface RowTotals {
  readonly topK: number;
  /** [N] log of the sum of exponentials so far. */
  readonly logSum: Float64Array;
  /** [N] */
  readonly labelLogit: Float32Array;
  /** [N, K] descending, equal ones by their id; places beyond the ids seen so far have -Infinity. */
  readonly topLogit: Float32Array;
  /** [N, K] */
  readonly topId: Int32Array;
}

/** One block of the vocabulary, for some rows; `kept` entries a row. */
export interface BlockRows {
  /** Its lowest id, and how many it has. */
  readonly first: number;
  readonly size: number;
  readonly kept: number;
  readonly logSum: Float32Array;
  readonly labelLogit: Float32Array;
  /** Counted within the block. */
  readonly topId: Int32Array;
  readonly topLogit: Float32Array;
}

export function createTotals(rows: number, topK: number): RowTotals {
  return {
    topK,
    logSum: new Float64Array(rows).fill(-Infinity),
    labelLogit: new Float32Array(rows).fill(Number.NaN),
    topLogit: new Float32Array(rows * topK).fill(-Infinity),
    topId: new Int32Array(rows * topK),
  };
}

/** Adds a block to the rows from `start` on. Blocks come in ascending order, so that earlier ids win ties. */
export function addBlock(totals: RowTotals, labels: Int32Array, start: number, block: BlockRows): void {
  const { topK, logSum, labelLogit, topLogit, topId } = totals;
  for (let n = 0; n < block.logSum.length; n++) {
    const row = start + n;
    logSum[row] = logAddExp(logSum[row]!, block.logSum[n]!);
    const label = labels[row]! - block.first;
    if (label >= 0 && label < block.size) labelLogit[row] = block.labelLogit[n]!;
    const oldLogit = topLogit.slice(row * topK, (row + 1) * topK);
    const oldId = topId.slice(row * topK, (row + 1) * topK);
    for (let k = 0, i = 0, j = 0; k < topK; k++) {
      const place = n * block.kept + j;
      const older = j >= block.kept || oldLogit[i]! >= block.topLogit[place]!;
      topLogit[row * topK + k] = older ? oldLogit[i]! : block.topLogit[place]!;
      topId[row * topK + k] = older ? oldId[i]! : block.topId[place]! + block.first;
      if (older) i++;
      else j++;
    }
  }
}

function normalise({ topK, logSum, labelLogit, topLogit, topId }: RowTotals): HeadResult {
  return {
    labelLogp: labelLogit.map((logit, row) => logit - logSum[row]!),
    topId,
    topLogp: topLogit.map((logit, place) => logit - logSum[Math.floor(place / topK)]!),
  };
}

/** log(exp(a) + exp(b)); NaN where either is. */
function logAddExp(a: number, b: number): number {
  const larger = Math.max(a, b);
  return larger === -Infinity ? larger : larger + Math.log(Math.exp(a - larger) + Math.exp(b - larger));
}
