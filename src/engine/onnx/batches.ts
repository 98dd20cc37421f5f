/**
 * Cuts work into micro-batches of few shapes. Every shape is a program of its own (static shapes) that costs about as
 * much to build as a micro-batch to run, so lengths, sizes and row counts are rounded up to buckets, and a plan weighs
 * padding against the number of micro-batches. Three epochs of conversations of mixed lengths need 70-120 shapes and
 * read 9-28 % padding.
 *
 * Legend: B sequences of a micro-batch, T positions each, N rows (positions whose logits are wanted).
 */

/** What a sequence asks for: positions to read and rows to answer. */
export interface Extent {
  /** Positions that go in. */
  readonly length: number;
  readonly rows: number;
  /** Whether it is a long sequence (`isLongSequence`), which shares no micro-batch with others. */
  readonly isLong?: boolean;
}

/** The shape of a micro-batch, padding included, and the sequences in it by their index. */
export interface MicroBatch {
  readonly size: number;
  readonly length: number;
  readonly rows: number;
  readonly isLong: boolean;
  readonly members: readonly number[];
}

/** Names the shape among the programs of a model. */
export function shapeKey({ size, length, isLong }: Pick<MicroBatch, "size" | "length" | "isLong">): string {
  return `${size} x ${length}${isLong ? ", long" : ""}`;
}

/** What starting a micro-batch costs, in positions: operations have a price of their own, gradients are added up. */
const START_COST = 128;

/** What a row's logits cost, in positions: between a fiftieth and a third from large to small models. */
const ROW_COST = 0.2;

/** The length a sequence is padded to: 16, and four lengths a doubling from there (20, 24, 28, 32, 40, ...). */
export function lengthBucket(length: number): number {
  if (length <= 16) return 16;
  const step = 2 ** Math.floor(Math.log2(length)) / 4;
  return Math.ceil(length / step) * step;
}

/** The rows a micro-batch is padded to: all its positions, or half, a quarter, ... down to a sixteenth of them. */
export function rowBucket(rows: number, positions: number): number {
  let bucket = positions;
  while (bucket % 2 === 0 && bucket / 2 >= rows && bucket > positions / 16) bucket /= 2;
  return bucket;
}

/**
 * The cheapest micro-batches of at most `budget` positions (a longer sequence is alone) whose sizes are powers of two,
 * longest first. Sequences without rows are left out. Depends on nothing but the extents, so that an interrupted
 * training is cut the same way when it goes on.
 */
export function planBatches(
  extents: readonly Extent[],
  budget: number,
  bucket: (length: number) => number = lengthBucket,
): MicroBatch[] {
  const order = extents.map((_, index) => index).filter((index) => extents[index]!.rows > 0);
  const isLong = (index: number): boolean => extents[index]!.isLong ?? false;
  order.sort((a, b) => Number(isLong(b)) - Number(isLong(a)) || extents[b]!.length - extents[a]!.length || a - b);
  const longs = order.filter(isLong).length;

  // Backwards through the sorted sequences: the cheapest plan from each one to the end, and its first micro-batch.
  const cost = new Float64Array(order.length + 1);
  const first = new Array<MicroBatch>(order.length);
  for (let start = order.length - 1; start >= 0; start--) {
    const length = bucket(extents[order[start]!]!.length);
    const long = start < longs;
    const stop = long ? longs : order.length;
    let end = start;
    let rows = 0;
    cost[start] = Number.POSITIVE_INFINITY;
    for (let size = 1; (size === 1 || size * length <= budget) && size < 2 * (stop - start); size *= 2) {
      while (end < stop && end < start + size) rows += extents[order[end++]!]!.rows;
      const padded = rowBucket(rows, size * length);
      const total = size * length + ROW_COST * padded + START_COST + cost[end]!;
      if (total < cost[start]!) {
        cost[start] = total;
        first[start] = { size, length, rows: padded, isLong: long, members: order.slice(start, end) };
      }
    }
  }
  const batches: MicroBatch[] = [];
  for (let start = 0; start < order.length; start += batches.at(-1)!.members.length) batches.push(first[start]!);
  return batches;
}
