/**
 * Cuts work into micro-batches of few shapes. Every shape is a session of its own (static shapes), so lengths and row
 * counts are rounded up to buckets; sequences of like length stand together, so that little is padding.
 *
 * Legend: B sequences of a micro-batch, T positions each, N rows (positions whose logits are wanted).
 */

/** What a sequence asks for: positions to read and rows to answer. */
export interface Extent {
  /** Positions that go in. */
  readonly length: number;
  readonly rows: number;
}

/** The shape of a micro-batch, padding included, and the sequences in it by their index. */
export interface MicroBatch {
  readonly size: number;
  readonly length: number;
  readonly rows: number;
  readonly members: readonly number[];
}

/** Sequences are joined while the shortest fills at least this share of the longest one's bucket. */
const LEAST_FILL = 0.7;

/**
 * The length a sequence is padded to: multiples of 16, then of an eighth of the next power of two. At most an eighth
 * is padding from 128 on, with eight shapes per doubling.
 */
export function lengthBucket(length: number): number {
  const step = Math.max(16, 2 ** Math.ceil(Math.log2(Math.max(length, 1))) / 8);
  return Math.max(step, Math.ceil(length / step) * step);
}

/** 1, 2, 3, 4, 6, 8, 12, 16, 24, ...: the sizes of a batch that is not full. */
export function sizeBucket(size: number): number {
  const power = 2 ** Math.floor(Math.log2(size));
  if (size === power) return size;
  return size <= 1.5 * power ? 1.5 * power : 2 * power;
}

/** Rows are padded to an eighth of all positions of the batch, at least 16. */
export function rowBucket(rows: number, positions: number): number {
  const step = Math.max(16, Math.ceil(positions / 8));
  return Math.min(Math.max(positions, 1), Math.ceil(rows / step) * step);
}

/**
 * Micro-batches of at most `budget` positions (a longer sequence is alone), longest first, so that memory peaks at
 * once. Sequences without rows are left out. Depends on nothing but the extents.
 */
export function planBatches(extents: readonly Extent[], budget: number): MicroBatch[] {
  const order = extents.map((_, index) => index).filter((index) => extents[index]!.rows > 0);
  order.sort((a, b) => extents[b]!.length - extents[a]!.length || a - b);
  const batches: MicroBatch[] = [];
  let next = 0;
  while (next < order.length) {
    const length = lengthBucket(extents[order[next]!]!.length);
    const full = Math.max(1, Math.floor(budget / length));
    const members: number[] = [];
    while (members.length < full && next < order.length) {
      const index = order[next]!;
      if (extents[index]!.length < LEAST_FILL * length && members.length > 0) break;
      members.push(index);
      next++;
    }
    const size = Math.min(full, sizeBucket(members.length));
    const rows = members.reduce((sum, index) => sum + extents[index]!.rows, 0);
    batches.push({ size, length, rows: rowBucket(rows, size * length), members });
  }
  return batches;
}
