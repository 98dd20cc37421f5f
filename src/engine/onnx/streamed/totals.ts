/**
 * Distributions over the whole vocabulary from those of its blocks, exactly and in double precision: log-sum-exps add
 * up, and the most probable ids are among the most probable of each block.
 */
import type { RowBatch } from "../../engine.ts";

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

/** Probabilities from logits, once every block has been added. */
export function normalise({ topK, logSum, labelLogit, topLogit, topId }: RowTotals): RowBatch {
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
