/** Every kernel in vectors gives what the plain one gives, to the bit, for any number of entries. */
import { describe, expect, test } from "vitest";
import { createBlockMemory } from "#src/merge/block-memory.js";
import { CHUNK_ENTRIES } from "#src/merge/chunk.js";
import * as conversions from "#src/merge/kernels/conversions.js";
import * as kernels from "#src/merge/kernels/index.js";
import * as plain from "#src/merge/kernels/plain-kernels.js";
import { createRandom } from "#src/random.js";

const vectorKernels = { ...kernels };
const plainKernels = { ...plain, ...conversions };

const MODELS = 5;
const COUNTS = [1, 2, 7, 8, 33, 1000, CHUNK_ENTRIES - 3, CHUNK_ENTRIES];

type Numbers = Float64Array | Float32Array | Uint32Array | Int32Array | Uint16Array;
type Kernel = (...values: never[]) => unknown;

const memory = createBlockMemory();
const random = createRandom("kernels");

/** Numbers of many sizes, some equal and some 0; zeros from `count` on. */
function numbers(name: string, count: number, arrays = 1): Float64Array {
  const values = memory.doubles(name, arrays * CHUNK_ENTRIES).fill(0);
  for (let j = 0; j < arrays; j++) {
    for (let i = 0; i < count; i++) {
      const kind = random.integer(8);
      values[j * CHUNK_ENTRIES + i] =
        kind === 0 ? 0 : kind === 1 ? 0.5 : random.normal() * 2 ** (random.integer(40) - 20);
    }
  }
  return values;
}

/** In place: a copy would lie elsewhere. */
function filled<T extends Numbers>(array: T, value: (i: number) => number): T {
  for (let i = 0; i < array.length; i++) array[i] = value(i);
  return array;
}

function patterns(name: string, count: number): Uint16Array {
  const bytes = memory.bytes(name, 2 * CHUNK_ENTRIES);
  const values = new Uint16Array(bytes.buffer, bytes.byteOffset, CHUNK_ENTRIES).fill(0);
  for (let i = 0; i < count; i++) values[i] = random.integer(0x7c00) + 0x8000 * random.integer(2);
  return values;
}

const models = (count: number): Float64Array => numbers("models", count, MODELS);
const weights = (name: string, of = (value: number): number => value): Float64Array =>
  filled(memory.doubles(name, MODELS), () => of(random.normal()));
const outs = (): Float64Array => memory.doubles("outs", MODELS * CHUNK_ENTRIES).fill(0);
const out = (): Float64Array => memory.doubles("out", CHUNK_ENTRIES);
const half = (): Uint16Array => patterns("half", 0);
const floats = (): Float32Array => {
  const bytes = memory.bytes("floats", 4 * CHUNK_ENTRIES);
  return new Float32Array(bytes.buffer, bytes.byteOffset, CHUNK_ENTRIES);
};
const places = (): Int32Array => {
  const words = memory.words("places", CHUNK_ENTRIES + 1);
  return new Int32Array(words.buffer, words.byteOffset, CHUNK_ENTRIES + 1);
};
function positive(count: number): Float64Array {
  const values = numbers("scores", count);
  for (let i = 0; i < count; i++) values[i] = Math.abs(values[i]!);
  return values;
}

/** Arguments for `count` entries; the last array is the output where there is one. */
const CASES: Readonly<Record<keyof typeof plainKernels, (count: number) => (number | Numbers)[]>> = {
  widenBfloat16: (count) => [patterns("stored", count), 0, count, out()],
  widenFloat16: (count) => [patterns("stored", count), 0, count, out()],
  widenFloat32: (count) => {
    const stored = filled(floats(), (i) => (i < count ? random.normal() : 0));
    return [stored, 0, count, out()];
  },
  narrowBfloat16: (count) => [numbers("x", count), count, half(), 0],
  narrowFloat32: (count) => [numbers("x", count), count, floats(), 0],
  addWeights: (count) => [models(count), weights("w"), MODELS, count, out()],
  addUpdates: (count) => [models(count), numbers("b", count), weights("w"), MODELS, 0.7, count, out()],
  addToBase: (count) => [numbers("b", count), 0.7, count, numbers("out", count)],
  elect: (count) => [
    ...[models(count), weights("v"), weights("w"), weights("s", Math.abs), MODELS],
    ...[numbers("b", count), 0.7, 1e-6, count, out()],
  ],
  subtract: (count) => [models(count), numbers("b", count), MODELS, count, outs()],
  keepBetween: (count) => [models(count), 2, numbers("b", count), 0.5, 3, count, outs()],
  keepMarked: (count) => {
    const bits = filled(memory.words("bits", CHUNK_ENTRIES / 32), () => random.integer(2 ** 32));
    return [models(count), 2, numbers("b", count), bits, count, outs()];
  },
  magnitudes: (count) => [models(count), 2, numbers("b", count), count, out()],
  variances: (count) => [models(count), MODELS, 1 / MODELS, count, out()],
  product: (count) => [models(count), 0, CHUNK_ENTRIES, count],
  sumOfMagnitudes: (count) => [models(count), 2, count],
  addSquares: (count) => [models(count), numbers("b", count), MODELS, count, weights("e")],
  countMagnitudes: (count) => [models(count), 2, numbers("b", count), 0.5, count],
  countBins: (count) => [positive(count), count, memory.words("histogram", 1 << 19).fill(0)],
  findFrom: (count) => [positive(count), 0.5, count, places()],
  takeBetween: (count) => [positive(count), 0, 2, count, out()],
  gather: (count) => [models(count), MODELS, filled(places(), () => random.integer(count)), count, outs()],
  scatter: (count) => [numbers("x", count), filled(places(), (i) => Math.max(0, count - 1 - i)), count, out()],
};

/** -0 and 0 are told apart. */
const bytesOf = ({ buffer, byteOffset, byteLength }: Numbers): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString("latin1");

/** Kernels that return a sum: their last array is an input. */
const SUMS = new Set(["product", "sumOfMagnitudes", "countMagnitudes"]);
/** Kernels whose output has a length of its own. */
const WHOLE = new Set(["countBins", "addSquares"]);
/** Kernels that return how much of their output means something. */
const LISTS = new Set(["findFrom", "takeBetween"]);

describe.each(Object.keys(CASES) as (keyof typeof CASES)[])("%s", (name) => {
  test.each(COUNTS)("of %i entries", (count) => {
    const values = CASES[name](count);
    const elsewhere = values.map((value) => (typeof value === "number" ? value : value.slice()));
    const both = [vectorKernels[name] as Kernel, plainKernels[name] as Kernel];
    const [vector, simple] = both.map((kernel, k) => {
      const own = k === 0 ? values : elsewhere;
      const returned = kernel(...(own as never[]));
      const last = own.findLast((value) => typeof value !== "number") as Numbers;
      const length = LISTS.has(name)
        ? (returned as number)
        : Math.min(last.length, WHOLE.has(name) ? last.length : count);
      const rows = last.length === MODELS * CHUNK_ENTRIES ? MODELS : 1;
      const written = Array.from({ length: rows }, (_, j) =>
        bytesOf(last.subarray(j * CHUNK_ENTRIES).subarray(0, length)),
      );
      return { returned, written: SUMS.has(name) ? [] : written };
    });
    expect(vector).toEqual(simple);
  });
});

describe("conversions in vectors", () => {
  test.each(["widenBfloat16", "widenFloat16"] as const)("%s widens all finite patterns as the plain one", (name) => {
    const exponent = name === "widenBfloat16" ? 0x7f80 : 0x7c00;
    const finite = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((one) => (one & exponent) !== exponent);
    const stored = patterns("stored", 0);
    for (let from = 0; from < finite.length; from += CHUNK_ENTRIES) {
      const part = finite.subarray(from, from + CHUNK_ENTRIES);
      stored.set(part);
      const expected = new Float64Array(part.length);
      plainKernels[name](part, 0, part.length, expected);
      const found = out();
      expect(vectorKernels[name](stored, 0, part.length, found)).toBe(0);
      expect(found.subarray(0, part.length).every((value, i) => Object.is(value, expected[i]))).toBe(true);
    }
  });

  test("tell of NaN and infinities", () => {
    for (const bad of [0x7f80, 0xff80, 0x7fc0]) {
      const stored = patterns("stored", 0);
      stored[11] = bad;
      expect(kernels.widenBfloat16(stored, 0, 16, out())).toBe(1);
    }
    const values = numbers("x", 0);
    for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY, 3.4e38]) {
      values[11] = bad;
      expect(kernels.narrowBfloat16(values, 16, half(), 0)).toBe(1);
    }
    expect(kernels.narrowFloat32(values, 16, floats(), 0)).toBe(0);
    values[3] = 1e39;
    expect(kernels.narrowFloat32(values, 16, floats(), 0)).toBe(1);
  });

  test("round doubles to bfloat16 once, also where float32 would land on a tie", () => {
    const tie = 1 + 2 ** -8;
    const values = numbers("x", 0);
    values.set([
      tie,
      tie + 2 ** -40,
      tie - 2 ** -40,
      -tie - 2 ** -40,
      tie + 2 ** -7,
      2 ** -133 + 2 ** -160,
      2 ** -134,
      0.1,
    ]);
    const found = half();
    kernels.narrowBfloat16(values, 8, found, 0);
    expect([...found.subarray(0, 8)]).toEqual([0x3f80, 0x3f81, 0x3f80, 0xbf81, 0x3f82, 1, 0, 0x3dcd]);
  });
});

test("what has no room for vectors is computed plainly", () => {
  const small = createBlockMemory(65_536);
  const inside = small.doubles("inside", 8);
  const outside = small.doubles("outside", 2 * CHUNK_ENTRIES);
  expect(inside.buffer).not.toBe(outside.buffer);
  outside.fill(2);
  const one = small.doubles("weights", 2).fill(1);
  kernels.addWeights(outside, one, 2, 8, inside);
  expect([...inside]).toEqual(Array(8).fill(4));
});
