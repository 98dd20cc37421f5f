/**
 * The largest singular values of a matrix and their vectors, by subspace iteration from random vectors (Halko, Martinsson
 * and Tropp 2011, arXiv:0909.4061, algorithm 4.4) until what the subspace holds of the matrix stands still, and one-sided
 * Jacobi rotations (Hestenes 1958) within it. Where the subspace is the whole space the result is exact.
 */
import { createRandom } from "../../random.ts";

export interface TruncatedSvd {
  /** Largest first. */
  readonly values: Float64Array;
  /** [rank][rows] of length 1 and orthogonal, or zero with a zero value. */
  readonly left: readonly Float64Array[];
  /** [rank][columns] likewise. */
  readonly right: readonly Float64Array[];
}

/** Vectors beyond the rank, which make the last ones of it converge. */
const OVERSAMPLING = 10;
/** Sizes up to which the subspace is the whole space. */
const SMALL = 128;
/** Of a flat spectrum in a large matrix, where more would gain little: its vectors are nearly as good as one another. */
const ITERATIONS = 6;
/** Multiplications that more iterations may take in smaller ones: a tenth of a second. */
const MULTIPLICATIONS = 1e8;
/** Relative gain of the subspace's energy at which it stands still. */
const STANDSTILL = 1e-9;

type Vectors = readonly Float64Array[];

/** `matrix` is [rows, columns], row by row; the same seed gives the same bits. */
export function truncatedSvd(
  matrix: Float32Array,
  rows: number,
  columns: number,
  rank: number,
  seed: string,
): TruncatedSvd {
  const whole = Math.min(rows, columns);
  const size = whole <= SMALL ? whole : Math.min(rank + OVERSAMPLING, whole);
  const random = createRandom(seed);
  const start = Array.from({ length: size }, () =>
    Float64Array.from({ length: columns }, () => random.next() + random.next() + random.next() - 1.5),
  );
  let left = orthonormal(times(matrix, rows, columns, start));
  let right = timesTransposed(matrix, rows, columns, left);
  let energy = sumOfSquares(right);
  const most = Math.max(ITERATIONS, Math.floor(MULTIPLICATIONS / (2 * rows * columns * size)));
  for (let step = 0; step < most; step++) {
    left = orthonormal(times(matrix, rows, columns, orthonormal(right)));
    right = timesTransposed(matrix, rows, columns, left);
    const next = sumOfSquares(right);
    if (next <= energy * (1 + STANDSTILL)) break;
    energy = next;
  }
  const { values, turned, rotation } = jacobi(right);
  const order = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b).slice(0, Math.min(rank, size));
  return {
    values: Float64Array.from(order, (at) => values[at]!),
    left: order.map((at) => combine(left, rotation[at]!)),
    right: order.map((at) => turned[at]!.map((value) => (values[at] === 0 ? 0 : value / values[at]!))),
  };
}

/** The matrix by each vector of as many entries as it has columns. */
function times(matrix: Float32Array, rows: number, columns: number, vectors: Vectors): Float64Array[] {
  const count = vectors.length;
  const packed = interleaved(vectors, columns);
  const results = vectors.map(() => new Float64Array(rows));
  const sums = new Float64Array(count);
  for (let i = 0; i < rows; i++) {
    sums.fill(0);
    for (let j = 0; j < columns; j++) {
      const entry = matrix[i * columns + j]!;
      if (entry === 0) continue;
      const at = j * count;
      for (let v = 0; v < count; v++) sums[v] = sums[v]! + entry * packed[at + v]!;
    }
    for (let v = 0; v < count; v++) results[v]![i] = sums[v]!;
  }
  return results;
}

/** The transposed matrix by each vector of as many entries as it has rows. */
function timesTransposed(matrix: Float32Array, rows: number, columns: number, vectors: Vectors): Float64Array[] {
  const count = vectors.length;
  const packed = interleaved(vectors, rows);
  const sums = new Float64Array(columns * count);
  for (let i = 0; i < rows; i++) {
    const own = packed.subarray(i * count, (i + 1) * count);
    for (let j = 0; j < columns; j++) {
      const entry = matrix[i * columns + j]!;
      if (entry === 0) continue;
      const at = j * count;
      for (let v = 0; v < count; v++) sums[at + v] = sums[at + v]! + entry * own[v]!;
    }
  }
  return vectors.map((_, v) => Float64Array.from({ length: columns }, (__, j) => sums[j * count + v]!));
}

/** First entries of all vectors, then their second ones, and so on. */
function interleaved(vectors: Vectors, length: number): Float64Array {
  const packed = new Float64Array(length * vectors.length);
  for (const [v, vector] of vectors.entries()) {
    for (let i = 0; i < length; i++) packed[i * vectors.length + v] = vector[i]!;
  }
  return packed;
}

/** What is left of a vector, of its length, when it counts as a combination of those before it. */
const DEPENDENT = 1e-13;

/** Gram and Schmidt's, twice, which is enough for double precision; dependent vectors become zero. */
function orthonormal(vectors: Vectors): Float64Array[] {
  const done: Float64Array[] = [];
  for (const vector of vectors) {
    const own = Float64Array.from(vector);
    const before = norm(own);
    for (let pass = 0; pass < 2; pass++) for (const other of done) addScaled(own, other, -dot(own, other));
    const length = norm(own);
    const scale = length > before * DEPENDENT ? 1 / length : 0;
    done.push(own.map((value) => value * scale));
  }
  return done;
}

/** Cosines below it count as right angles. */
const RIGHT_ANGLE = 1e-14;
const MOST_SWEEPS = 60;

/** Turns vectors until they are orthogonal: their lengths are the singular values; `rotation` says how. */
function jacobi(vectors: Vectors): { values: Float64Array; turned: Float64Array[]; rotation: Float64Array[] } {
  const turned = vectors.map((vector) => Float64Array.from(vector));
  const rotation = vectors.map((_, a) => Float64Array.from(vectors, (__, b) => Number(a === b)));
  for (let sweep = 0, moved = true; moved && sweep < MOST_SWEEPS; sweep++) {
    moved = false;
    for (let a = 0; a < turned.length; a++) {
      for (let b = a + 1; b < turned.length; b++) {
        const [x, y] = [turned[a]!, turned[b]!];
        const [xx, yy, xy] = [dot(x, x), dot(y, y), dot(x, y)];
        if (Math.abs(xy) <= RIGHT_ANGLE * Math.sqrt(xx * yy)) continue;
        moved = true;
        const zeta = (yy - xx) / (2 * xy);
        const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
        const cosine = 1 / Math.sqrt(1 + tangent * tangent);
        rotate(x, y, cosine, cosine * tangent);
        rotate(rotation[a]!, rotation[b]!, cosine, cosine * tangent);
      }
    }
  }
  return { values: Float64Array.from(turned, norm), turned, rotation };
}

function rotate(x: Float64Array, y: Float64Array, cosine: number, sine: number): void {
  for (let i = 0; i < x.length; i++) {
    const [a, b] = [x[i]!, y[i]!];
    x[i] = cosine * a - sine * b;
    y[i] = sine * a + cosine * b;
  }
}

function combine(vectors: Vectors, weights: Float64Array): Float64Array {
  const sum = new Float64Array(vectors[0]!.length);
  for (const [v, vector] of vectors.entries()) addScaled(sum, vector, weights[v]!);
  return sum;
}

function addScaled(sum: Float64Array, vector: Float64Array, factor: number): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + factor * vector[i]!;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function norm(vector: Float64Array): number {
  return Math.sqrt(dot(vector, vector));
}

function sumOfSquares(vectors: Vectors): number {
  return vectors.reduce((sum, vector) => sum + dot(vector, vector), 0);
}
