/**
 * A tree of groups by division: all vectors are cut in two along the direction in which they differ most (Boley,
 * "Principal Direction Divisive Partitioning", 1998), the halves are bettered by a few rounds of 2-means, and each is
 * cut again, down to some dozens. Nothing is drawn: the same vectors give the same tree. A level of the tree costs
 * some ten walks over all entries.
 */
import type { SparseVectors } from "./prompt-vectors.ts";

/** A group of fewer is left whole: a mean over some dozens of conversations is what a choice can lean on. */
const DIVIDED_FROM = 64;
/** A part of fewer is no group: the cut is not made. */
const SMALLEST = 8;
const POWER_ROUNDS = 8;
const MEANS_ROUNDS = 4;

export interface GroupTree {
  /** [G] as in `Groups`. */
  readonly parent: Int32Array;
  /** [N] */
  readonly group: Int32Array;
}

export function bisectAll(vectors: SparseVectors): GroupTree {
  const count = vectors.start.length - 1;
  const group = new Int32Array(count);
  const parent = [-1];
  /** Groups that may be divided, with their members. */
  const open: { readonly number: number; readonly members: Int32Array }[] = [
    { number: 0, members: Int32Array.from({ length: count }, (_, n) => n) },
  ];
  for (let next = open.shift(); next !== undefined; next = open.shift()) {
    const { number, members } = next;
    const halves = members.length < DIVIDED_FROM ? null : bisect(vectors, members);
    if (halves === null) continue;
    for (const half of halves) {
      const own = parent.length;
      parent.push(number);
      for (const member of half) group[member] = own;
      open.push({ number: own, members: half });
    }
  }
  return { parent: Int32Array.from(parent), group };
}

/** The members in two parts, or null where one of them would be too small. */
function bisect(vectors: SparseVectors, members: Int32Array): [Int32Array, Int32Array] | null {
  const { features } = vectors;
  const centre = meanOf(vectors, members);
  // The member that is least like the mean points somewhere along what differs.
  let farthest = members[0]!;
  let least = Number.POSITIVE_INFINITY;
  for (const member of members) {
    const likeness = dot(vectors, member, centre);
    if (likeness < least) [farthest, least] = [member, likeness];
  }
  let direction = Float64Array.from(centre, (value) => -value);
  add(vectors, farthest, 1, direction);
  for (let round = 0; round < POWER_ROUNDS; round++) {
    const offset = product(centre, direction);
    const next = new Float64Array(features);
    let sum = 0;
    for (const member of members) {
      const along = dot(vectors, member, direction) - offset;
      add(vectors, member, along, next);
      sum += along;
    }
    for (let f = 0; f < features; f++) next[f]! -= sum * centre[f]!;
    const length = Math.sqrt(product(next, next));
    if (length === 0) return null;
    direction = next.map((value) => value / length);
  }
  let parts = cut(vectors, members, direction, product(centre, direction));
  for (let round = 0; round < MEANS_ROUNDS && parts !== null; round++) {
    const [low, high] = [meanOf(vectors, parts[0]), meanOf(vectors, parts[1])];
    const between = high.map((value, f) => value - low[f]!);
    parts = cut(vectors, members, between, (product(high, high) - product(low, low)) / 2);
  }
  return parts;
}

/** Those at most, and those more than, `at` along a direction. */
function cut(
  vectors: SparseVectors,
  members: Int32Array,
  direction: Float64Array,
  at: number,
): [Int32Array, Int32Array] | null {
  const isHigh = Array.from(members, (member) => dot(vectors, member, direction) > at);
  const low = members.filter((_, index) => !isHigh[index]);
  const high = members.filter((_, index) => isHigh[index]);
  return Math.min(low.length, high.length) < SMALLEST ? null : [low, high];
}

function meanOf(vectors: SparseVectors, members: Int32Array): Float64Array {
  const mean = new Float64Array(vectors.features);
  for (const member of members) add(vectors, member, 1 / members.length, mean);
  return mean;
}

function dot({ start, feature, weight }: SparseVectors, n: number, dense: Float64Array): number {
  let sum = 0;
  for (let at = start[n]!; at < start[n + 1]!; at++) sum += weight[at]! * dense[feature[at]!]!;
  return sum;
}

function add({ start, feature, weight }: SparseVectors, n: number, factor: number, into: Float64Array): void {
  for (let at = start[n]!; at < start[n + 1]!; at++) into[feature[at]!]! += factor * weight[at]!;
}

function product(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let f = 0; f < a.length; f++) sum += a[f]! * b[f]!;
  return sum;
}
