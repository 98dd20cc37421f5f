/**
 * Rows drawn over blocks of the vocabulary, in double precision: the same systematic sampling as `graph/ops/draw.ts`, a block
 * after the other, once the log of each row's whole sum is known.
 */
import type { RowBatch } from "../../engine.ts";

/** What is drawn of N rows after some blocks. */
export interface RowDraws {
  /** K */
  readonly count: number;
  /** [N] log of the sum of exponentials over the whole vocabulary. */
  readonly logSum: Float64Array;
  /** [N] */
  readonly uniform: Float32Array;
  /** [N] probability of all ids so far. */
  readonly sum: Float64Array;
  /** [N] places that are taken; a row's ids and how often each was drawn lie in the first `ids[n]` of its K places. */
  readonly taken: Int32Array;
  readonly ids: Int32Array;
  readonly id: Int32Array;
  readonly times: Int32Array;
}

export function createDraws(logSum: Float64Array, uniform: Float32Array, count: number): RowDraws {
  const rows = logSum.length;
  return {
    count,
    logSum,
    uniform,
    sum: new Float64Array(rows),
    taken: new Int32Array(rows),
    ids: new Int32Array(rows),
    id: new Int32Array(rows * count),
    times: new Int32Array(rows * count),
  };
}

/** Goes on with the `block` ids from `first` on, for the rows from `start` on; `logits` [rows, block]. */
export function drawBlock(draws: RowDraws, start: number, first: number, block: number, logits: Float32Array): void {
  const { count, logSum, uniform, sum, taken, ids, id, times } = draws;
  for (let n = 0; n * block < logits.length; n++) {
    const row = start + n;
    for (let at = 0; at < block && taken[row]! < count; at++) {
      sum[row]! += Math.exp(logits[n * block + at]! - logSum[row]!);
      const below = Math.min(count, Math.ceil(count * sum[row]! - uniform[row]!));
      if (below <= taken[row]!) continue;
      const place = row * count + ids[row]!++;
      id[place] = first + at;
      times[place] = below - taken[row]!;
      taken[row] = below;
    }
  }
}

/** As all drawn rows are: the most frequent ids first, equal ones by their id. */
export function finishDraws({ count, taken, ids, id, times }: RowDraws): Pick<RowBatch, "topId" | "topLogp"> {
  const topId = new Int32Array(id.length);
  const topLogp = new Float32Array(id.length).fill(Number.NEGATIVE_INFINITY);
  for (let row = 0; row < ids.length; row++) {
    const first = row * count;
    // Rounding may leave the last place, whose end is that of the sum, to nobody: it is the last id's.
    if (ids[row]! > 0) times[first + ids[row]! - 1]! += count - taken[row]!;
    const places = Array.from({ length: ids[row]! }, (_, place) => first + place);
    places.sort((a, b) => times[b]! - times[a]! || a - b);
    for (const [k, place] of places.entries()) {
      topId[first + k] = id[place]!;
      topLogp[first + k] = Math.log(times[place]! / count);
    }
  }
  return { topId, topLogp };
}
