/**
 * The kernels in vectors of two doubles. Each does the operations of its namesake in `plain-kernels.ts` on every entry
 * in the same order, so that results are equal to the bit; sums over entries have four lanes in both. Arguments are
 * addresses of arrays where the namesake has arrays, in the same places. Entries are taken eight at a time: arrays have
 * room for that, and sums over entries find zeros behind the last.
 */
import { CHUNK_ENTRIES } from "../chunk.ts";
import {
  type Code,
  define,
  type FunctionSource,
  f32x4,
  f64,
  f64x2,
  i16x8,
  i32,
  i32x4,
  i64x2,
  type Local,
  repeat,
  v128,
  when,
} from "./assembler.ts";
import type * as conversions from "./conversions.ts";
import type * as plain from "./plain-kernels.ts";

const words = (value: number): Code => v128.const(new Uint8Array(new Uint32Array(4).fill(value).buffer));
const halves = (value: number): Code => v128.const(new Uint8Array(new Uint16Array(8).fill(value).buffer));
const doubles = (...values: number[]): Code => v128.const(new Uint8Array(new Float64Array(values).buffer));
const ZERO = words(0);
const ONE = doubles(1, 1);
const SIGN = doubles(-0, -0);

/** From one model's entries of a chunk to the next one's. */
const STRIDE_BYTES = 8 * CHUNK_ENTRIES;
/** Vectors of two doubles that a turn of a loop takes. */
const VECTORS = [0, 1, 2, 3];
const TURN = 2 * VECTORS.length;

/** The address of entry `index` in an array of elements of 2^`shift` bytes. */
const entry = (array: Local, index: Local, shift: number): Code =>
  i32.add(array.get, i32.shl(index.get, i32.const(shift)));
const add = (to: Local, value: Code): Code => to.set(f64x2.add(to.get, value));
const advance = (pointer: Local, bytes: number): Code => pointer.set(i32.add(pointer.get, i32.const(bytes)));

const bytes = (...starts: number[]): number[] => starts.flatMap((start) => [start, start + 1, start + 2, start + 3]);
/** The first, and the last, two floats of each. */
const lowPairs = (a: Code, b: Code): Code => v128.shuffle(a, b, bytes(0, 4, 16, 20));
const highPair = (a: Local): Code => v128.shuffle(a.get, a.get, bytes(8, 12, 8, 12));
/** The lower words of four 64-bit lanes. */
const lowWords = (a: Code, b: Code): Code => v128.shuffle(a, b, bytes(0, 8, 16, 24));

/** Four 16-bit patterns, the lower or the upper ones of `x`, each as the upper half of a word. */
const asUpperHalves = (x: Local, first: number): Code =>
  v128.shuffle(
    ZERO,
    x.get,
    [0, 1, 2, 3].flatMap((i) => [0, 1, 16 + 2 * (first + i), 17 + 2 * (first + i)]),
  );

/** Stores four floats as doubles. */
const storeFloats = (address: Code, floats: Local, offset: number): Code[] => [
  v128.store(address, f64x2.promoteLow(floats.get), offset),
  v128.store(address, f64x2.promoteLow(highPair(floats)), offset + 16),
];

/** 1 where a pattern reached `exponent`, all its bits set: the pattern without its sign then carries into its place. */
function widen16(exponent: number, toFloats: (upper: Code) => Code): FunctionSource {
  return define({
    parameters: { stored: "i32", from: "i32", count: "i32", values: "i32" },
    locals: { at: "i32", patterns: "v128", floats: "v128", seen: "v128" },
    result: "i32",
    body: ({ stored, from, count, values, at, patterns, floats, seen }) => [
      stored.set(entry(stored, from, 1)),
      repeat(at, count.get, 8, [
        patterns.set(v128.load(entry(stored, at, 1))),
        seen.set(v128.or(seen.get, carry16(patterns, exponent))),
        ...[0, 4].flatMap((first) => [
          floats.set(toFloats(asUpperHalves(patterns, first))),
          ...storeFloats(entry(values, at, 3), floats, 8 * first),
        ]),
      ]),
      v128.anyTrue(v128.and(seen.get, halves(0x8000))),
    ],
  });
}

const carry16 = (patterns: Local, exponent: number): Code =>
  i16x8.add(v128.and(patterns.get, halves(0x7fff)), halves(0x8000 - exponent));
const carry32 = (patterns: Local): Code =>
  i32x4.add(v128.and(patterns.get, words(0x7fffffff)), words(0x80000000 - 0x7f800000));

const widenBfloat16 = widen16(0x7f80, (upper) => upper);

/** Exponents of float16 count from another zero: a product with 2^112, which is exact for subnormals too. */
const widenFloat16 = widen16(0x7c00, (upper) =>
  v128.or(
    f32x4.mul(i32x4.shrU(v128.and(upper, words(0x7fff0000)), 3), words((127 + 112) << 23)),
    v128.and(upper, words(0x80000000)),
  ),
);

const widenFloat32 = define({
  parameters: { stored: "i32", from: "i32", count: "i32", values: "i32" },
  locals: { at: "i32", floats: "v128", seen: "v128" },
  result: "i32",
  body: ({ stored, from, count, values, at, floats, seen }) => [
    stored.set(entry(stored, from, 2)),
    repeat(at, count.get, 4, [
      floats.set(v128.load(entry(stored, at, 2))),
      seen.set(v128.or(seen.get, carry32(floats))),
      ...storeFloats(entry(values, at, 3), floats, 0),
    ]),
    v128.anyTrue(v128.and(seen.get, words(0x80000000))),
  ],
});

/** The four doubles from `offset` on as floats. */
const demoted = (address: Code, offset: number): Code =>
  lowPairs(f32x4.demote(v128.load(address, offset)), f32x4.demote(v128.load(address, offset + 16)));

const narrowFloat32 = define({
  parameters: { values: "i32", count: "i32", stored: "i32", to: "i32" },
  locals: { at: "i32", floats: "v128", seen: "v128" },
  result: "i32",
  body: ({ values, count, stored, to, at, floats, seen }) => [
    stored.set(entry(stored, to, 2)),
    repeat(at, count.get, 4, [
      floats.set(demoted(entry(values, at, 3), 0)),
      seen.set(v128.or(seen.get, carry32(floats))),
      v128.store(entry(stored, at, 2), floats.get),
    ]),
    v128.anyTrue(v128.and(seen.get, words(0x80000000))),
  ],
});

/**
 * By way of float32. Of a float32 halfway between two bfloat16 only the double knows on which side it lay: the pattern
 * is moved by one towards it, which decides the rounding and nothing else.
 */
const narrowBfloat16 = define({
  parameters: { values: "i32", count: "i32", stored: "i32", to: "i32" },
  locals: { at: "i32", floats: "v128", tied: "v128", first: "v128", patterns: "v128", seen: "v128" },
  result: "i32",
  body: ({ values, count, stored, to, at, floats, tied, first, patterns, seen }) => {
    const address = entry(values, at, 3);
    const four = (offset: number): Code[] => {
      const compare = (order: (a: Code, b: Code) => Code): Code =>
        v128.and(
          lowWords(
            order(f64x2.abs(v128.load(address, offset)), f64x2.abs(f64x2.promoteLow(floats.get))),
            order(f64x2.abs(v128.load(address, offset + 16)), f64x2.abs(f64x2.promoteLow(highPair(floats)))),
          ),
          tied.get,
        );
      return [
        floats.set(demoted(address, offset)),
        tied.set(i32x4.eq(v128.and(floats.get, words(0xffff)), words(0x8000))),
        when(v128.anyTrue(tied.get), [
          // A comparison that holds is -1.
          floats.set(i32x4.add(i32x4.sub(floats.get, compare(f64x2.gt)), compare(f64x2.lt))),
        ]),
        floats.set(
          i32x4.shrU(
            i32x4.add(i32x4.add(floats.get, words(0x7fff)), v128.and(i32x4.shrU(floats.get, 16), words(1))),
            16,
          ),
        ),
      ];
    };
    return [
      stored.set(entry(stored, to, 1)),
      repeat(at, count.get, 8, [
        ...four(0),
        first.set(floats.get),
        ...four(32),
        patterns.set(i16x8.narrow(first.get, floats.get)),
        seen.set(v128.or(seen.get, carry16(patterns, 0x7f80))),
        v128.store(entry(stored, at, 1), patterns.get),
      ]),
      v128.anyTrue(v128.and(seen.get, halves(0x8000))),
    ];
  },
});

/** Runs `body` for every model: with `place` at its entries of this turn, and `weight` in both lanes of its own. */
function everyModel(
  models: Local,
  at: Local,
  place: Local,
  weights: Local,
  pointer: Local,
  end: Local,
  weight: Local,
  body: readonly Code[],
): Code[] {
  return [
    place.set(entry(models, at, 3)),
    pointer.set(weights.get),
    repeat(pointer, end.get, 8, [weight.set(v128.loadSplat64(pointer.get)), ...body, advance(place, STRIDE_BYTES)]),
  ];
}

const addWeights = define({
  parameters: { models: "i32", weights: "i32", many: "i32", count: "i32", sums: "i32" },
  locals: {
    at: "i32",
    place: "i32",
    pointer: "i32",
    end: "i32",
    weight: "v128",
    s0: "v128",
    s1: "v128",
    s2: "v128",
    s3: "v128",
  },
  body: ({ models, weights, many, count, sums, at, place, pointer, end, weight, s0, s1, s2, s3 }) => {
    const sum = [s0, s1, s2, s3];
    return [
      end.set(entry(weights, many, 3)),
      repeat(at, count.get, TURN, [
        ...sum.map((s) => s.set(ZERO)),
        ...everyModel(models, at, place, weights, pointer, end, weight, [
          ...sum.map((s, v) => add(s, f64x2.mul(weight.get, v128.load(place.get, 16 * v)))),
        ]),
        ...sum.map((s, v) => v128.store(entry(sums, at, 3), s.get, 16 * v)),
      ]),
    ];
  },
});

const addUpdates = define({
  parameters: { models: "i32", base: "i32", weights: "i32", many: "i32", factor: "f64", count: "i32", merged: "i32" },
  locals: {
    ...{ at: "i32", place: "i32", pointer: "i32", end: "i32", weight: "v128" },
    ...{ s0: "v128", s1: "v128", s2: "v128", s3: "v128", o0: "v128", o1: "v128", o2: "v128", o3: "v128" },
  },
  body: ({ models, base, weights, many, factor, count, merged, at, place, pointer, end, weight, ...rest }) => {
    const sum = [rest.s0, rest.s1, rest.s2, rest.s3];
    const origin = [rest.o0, rest.o1, rest.o2, rest.o3];
    return [
      end.set(entry(weights, many, 3)),
      repeat(at, count.get, TURN, [
        ...sum.map((s) => s.set(ZERO)),
        ...origin.map((o, v) => o.set(v128.load(entry(base, at, 3), 16 * v))),
        ...everyModel(models, at, place, weights, pointer, end, weight, [
          ...sum.map((s, v) => add(s, f64x2.mul(weight.get, f64x2.sub(v128.load(place.get, 16 * v), origin[v]!.get)))),
        ]),
        ...sum.map((s, v) =>
          v128.store(
            entry(merged, at, 3),
            f64x2.add(origin[v]!.get, f64x2.mul(f64x2.splat(factor.get), s.get)),
            16 * v,
          ),
        ),
      ]),
    ];
  },
});

const addToBase = define({
  parameters: { base: "i32", factor: "f64", count: "i32", sums: "i32" },
  locals: { at: "i32" },
  body: ({ base, factor, count, sums, at }) => [
    repeat(at, count.get, TURN, [
      ...VECTORS.map((v) => {
        const scaled = f64x2.mul(f64x2.splat(factor.get), v128.load(entry(sums, at, 3), 16 * v));
        return v128.store(entry(sums, at, 3), f64x2.add(v128.load(entry(base, at, 3), 16 * v), scaled), 16 * v);
      }),
    ]),
  ],
});

/** Two vectors a turn: more would not stay in registers. */
const elect = define({
  parameters: {
    ...{ updates: "i32", votes: "i32", parts: "i32", shares: "i32", many: "i32" },
    ...{ base: "i32", factor: "f64", least: "f64", count: "i32", merged: "i32" },
  },
  locals: {
    ...{ at: "i32", place: "i32", pointer: "i32", end: "i32", weight: "v128", update: "v128", part: "v128" },
    ...{ v0: "v128", v1: "v128", s0: "v128", s1: "v128", d0: "v128", d1: "v128", share: "v128", least2: "v128" },
  },
  body: ({ updates, votes, parts, shares, many, base, factor, least, count, merged, ...rest }) => {
    const { at, place, pointer, end, weight, update, part, share, least2 } = rest;
    const sign = [rest.v0, rest.v1];
    const sum = [rest.s0, rest.s1];
    const divisor = [rest.d0, rest.d1];
    /** What another list of weights has for the model whose vote is at `pointer`. */
    const ofModel = (list: Local): Code => v128.loadSplat64(i32.add(pointer.get, i32.sub(list.get, votes.get)));
    return [
      end.set(entry(votes, many, 3)),
      least2.set(f64x2.splat(least.get)),
      repeat(at, count.get, 4, [
        ...sign.map((s) => s.set(ZERO)),
        ...everyModel(updates, at, place, votes, pointer, end, weight, [
          ...sign.map((s, v) => add(s, f64x2.mul(weight.get, v128.load(place.get, 16 * v)))),
        ]),
        ...sign.map((s) => s.set(v128.and(f64x2.lt(s.get, ZERO), SIGN))),
        ...[...sum, ...divisor].map((s) => s.set(ZERO)),
        ...everyModel(updates, at, place, votes, pointer, end, weight, [
          part.set(ofModel(parts)),
          share.set(ofModel(shares)),
          ...sign.flatMap((s, v) => {
            const along = f64x2.gt(v128.xor(f64x2.mul(weight.get, v128.load(place.get, 16 * v)), s.get), ZERO);
            return [
              update.set(along),
              add(sum[v]!, v128.and(f64x2.mul(part.get, v128.load(place.get, 16 * v)), update.get)),
              add(divisor[v]!, v128.and(share.get, update.get)),
            ];
          }),
        ]),
        ...divisor.flatMap((d, v) => [
          d.set(v128.select(ONE, d.get, f64x2.eq(d.get, ZERO))),
          d.set(f64x2.max(d.get, least2.get)),
          v128.store(
            entry(merged, at, 3),
            f64x2.add(
              v128.load(entry(base, at, 3), 16 * v),
              f64x2.div(f64x2.mul(f64x2.splat(factor.get), sum[v]!.get), d.get),
            ),
            16 * v,
          ),
        ]),
      ]),
    ];
  },
});

/** Moves to the entries of the `j`-th model. */
const toModel = (array: Local, j: Local): Code =>
  array.set(i32.add(array.get, i32.shl(j.get, i32.const(Math.log2(STRIDE_BYTES)))));

const subtract = define({
  parameters: { models: "i32", base: "i32", many: "i32", count: "i32", updates: "i32" },
  locals: { at: "i32", j: "i32" },
  body: ({ models, base, many, count, updates, at, j }) => [
    repeat(j, many.get, 1, [
      at.set(i32.const(0)),
      repeat(at, count.get, TURN, [
        ...VECTORS.map((v) => {
          const update = f64x2.sub(v128.load(entry(models, at, 3), 16 * v), v128.load(entry(base, at, 3), 16 * v));
          return v128.store(entry(updates, at, 3), update, 16 * v);
        }),
      ]),
      advance(models, STRIDE_BYTES),
      advance(updates, STRIDE_BYTES),
    ]),
  ],
});

const magnitudes = define({
  parameters: { models: "i32", j: "i32", base: "i32", count: "i32", scores: "i32" },
  locals: { at: "i32" },
  body: ({ models, j, base, count, scores, at }) => [
    toModel(models, j),
    repeat(at, count.get, TURN, [
      ...VECTORS.map((v) => {
        const update = f64x2.sub(v128.load(entry(models, at, 3), 16 * v), v128.load(entry(base, at, 3), 16 * v));
        return v128.store(entry(scores, at, 3), f64x2.abs(update), 16 * v);
      }),
    ]),
  ],
});

const keepBetween = define({
  parameters: { models: "i32", j: "i32", base: "i32", least: "f64", below: "f64", count: "i32", updates: "i32" },
  locals: { at: "i32", update: "v128" },
  body: ({ models, j, base, least, below, count, updates, at, update }) => [
    toModel(models, j),
    toModel(updates, j),
    repeat(at, count.get, TURN, [
      ...VECTORS.flatMap((v) => {
        const isIn = v128.and(
          f64x2.ge(f64x2.abs(update.get), f64x2.splat(least.get)),
          f64x2.lt(f64x2.abs(update.get), f64x2.splat(below.get)),
        );
        return [
          update.set(f64x2.sub(v128.load(entry(models, at, 3), 16 * v), v128.load(entry(base, at, 3), 16 * v))),
          v128.store(entry(updates, at, 3), v128.and(update.get, isIn), 16 * v),
        ];
      }),
    ]),
  ],
});

/** A word of bits at a time: each pair of entries compares its own two bits of it. */
const keepMarked = define({
  parameters: { models: "i32", j: "i32", base: "i32", bits: "i32", count: "i32", updates: "i32" },
  locals: { at: "i32", word: "v128" },
  body: ({ models, j, base, bits, count, updates, at, word }) => [
    toModel(models, j),
    toModel(updates, j),
    repeat(at, count.get, 32, [
      word.set(i32x4.splat(i32.load(i32.add(bits.get, i32.shl(i32.shrU(at.get, i32.const(5)), i32.const(2)))))),
      ...Array.from({ length: 16 }, (_, v) => {
        const [low, high] = [2 ** (2 * v), 2 ** (2 * v + 1)];
        const own = v128.const(new Uint8Array(new Uint32Array([low, low, high, high]).buffer));
        const update = f64x2.sub(v128.load(entry(models, at, 3), 16 * v), v128.load(entry(base, at, 3), 16 * v));
        const isIn = i64x2.eq(v128.and(word.get, own), own);
        return v128.store(entry(updates, at, 3), v128.and(update, isIn), 16 * v);
      }),
    ]),
  ],
});

const variances = define({
  parameters: { models: "i32", many: "i32", share: "f64", count: "i32", scores: "i32" },
  locals: {
    ...{ at: "i32", place: "i32", end: "i32", difference: "v128" },
    ...{ f0: "v128", f1: "v128", s0: "v128", s1: "v128", q0: "v128", q1: "v128" },
  },
  body: ({ models, many, share, count, scores, at, place, end, difference, ...rest }) => {
    const first = [rest.f0, rest.f1];
    const sum = [rest.s0, rest.s1];
    const squares = [rest.q0, rest.q1];
    const stride = i32.const(Math.log2(STRIDE_BYTES));
    return [
      repeat(at, count.get, 4, [
        place.set(entry(models, at, 3)),
        end.set(i32.add(place.get, i32.shl(many.get, stride))),
        ...first.map((f, v) => f.set(v128.load(place.get, 16 * v))),
        ...[...sum, ...squares].map((s) => s.set(ZERO)),
        advance(place, STRIDE_BYTES),
        repeat(place, end.get, STRIDE_BYTES, [
          ...first.flatMap((f, v) => [
            difference.set(f64x2.sub(v128.load(place.get, 16 * v), f.get)),
            add(sum[v]!, difference.get),
            add(squares[v]!, f64x2.mul(difference.get, difference.get)),
          ]),
        ]),
        ...sum.map((s, v) => {
          const spread = f64x2.sub(squares[v]!.get, f64x2.mul(f64x2.mul(s.get, s.get), f64x2.splat(share.get)));
          return v128.store(entry(scores, at, 3), f64x2.max(ZERO, f64x2.mul(spread, f64x2.splat(share.get))), 16 * v);
        }),
      ]),
    ];
  },
});

/** Adds `term` of all entries, two and two, to four lanes that begin at 0. */
const addLanes = (at: Local, count: Local, even: Local, odd: Local, term: (offset: number) => Code): Code[] => [
  at.set(i32.const(0)),
  even.set(ZERO),
  odd.set(ZERO),
  repeat(at, count.get, 4, [add(even, term(0)), add(odd, term(16))]),
  even.set(f64x2.add(even.get, odd.get)),
];
const sumOfLanes = (sums: Local): Code => f64.add(f64x2.extract(sums.get, 0), f64x2.extract(sums.get, 1));

const product = define({
  parameters: { vectors: "i32", a: "i32", b: "i32", count: "i32" },
  locals: { at: "i32", even: "v128", odd: "v128" },
  result: "f64",
  body: ({ vectors, a, b, count, at, even, odd }) => [
    a.set(entry(vectors, a, 3)),
    b.set(entry(vectors, b, 3)),
    ...addLanes(at, count, even, odd, (offset) =>
      f64x2.mul(v128.load(entry(a, at, 3), offset), v128.load(entry(b, at, 3), offset)),
    ),
    sumOfLanes(even),
  ],
});

const sumOfMagnitudes = define({
  parameters: { updates: "i32", j: "i32", count: "i32" },
  locals: { at: "i32", even: "v128", odd: "v128" },
  result: "f64",
  body: ({ updates, j, count, at, even, odd }) => [
    toModel(updates, j),
    ...addLanes(at, count, even, odd, (offset) => f64x2.abs(v128.load(entry(updates, at, 3), offset))),
    sumOfLanes(even),
  ],
});

const addSquares = define({
  parameters: { models: "i32", base: "i32", many: "i32", count: "i32", energies: "i32" },
  locals: { at: "i32", end: "i32", update: "v128", even: "v128", odd: "v128" },
  body: ({ models, base, many, count, energies, at, end, update, even, odd }) => [
    end.set(entry(energies, many, 3)),
    repeat(energies, end.get, 8, [
      ...addLanes(at, count, even, odd, (offset) => [
        ...update.set(f64x2.sub(v128.load(entry(models, at, 3), offset), v128.load(entry(base, at, 3), offset))),
        ...f64x2.mul(update.get, update.get),
      ]),
      f64.store(energies.get, f64.add(f64.load(energies.get), sumOfLanes(even))),
      advance(models, STRIDE_BYTES),
    ]),
  ],
});

/** A comparison that holds is all bits, of which those of 1 are taken. */
const countMagnitudes = define({
  parameters: { models: "i32", j: "i32", base: "i32", magnitude: "f64", count: "i32" },
  locals: { at: "i32", even: "v128", odd: "v128" },
  result: "f64",
  body: ({ models, j, base, magnitude, count, at, even, odd }) => [
    toModel(models, j),
    ...addLanes(at, count, even, odd, (offset) => {
      const update = f64x2.sub(v128.load(entry(models, at, 3), offset), v128.load(entry(base, at, 3), offset));
      return v128.and(ONE, f64x2.eq(f64x2.abs(update), f64x2.splat(magnitude.get)));
    }),
    sumOfLanes(even),
  ],
});

/** Bins are the upper bits of a double without its sign; scores have none. */
function countBins(shift: number): FunctionSource {
  return define({
    parameters: { scores: "i32", count: "i32", histogram: "i32" },
    locals: { at: "i32", bin: "i32" },
    body: ({ scores, count, histogram, at, bin }) => [
      repeat(at, count.get, 1, [
        bin.set(
          i32.add(histogram.get, i32.shl(i32.shrU(i32.load(entry(scores, at, 3), 4), i32.const(shift)), i32.const(2))),
        ),
        i32.store(bin.get, i32.add(i32.load(bin.get), i32.const(1))),
      ]),
    ],
  });
}

/** Every entry is written, and stays where the next one does not take its place. */
const findFrom = define({
  parameters: { scores: "i32", least: "f64", count: "i32", places: "i32" },
  locals: { at: "i32", found: "i32" },
  result: "i32",
  body: ({ scores, least, count, places, at, found }) => [
    repeat(at, count.get, 1, [
      i32.store(entry(places, found, 2), at.get),
      found.set(i32.add(found.get, f64.ge(f64.load(entry(scores, at, 3)), least.get))),
    ]),
    found.get,
  ],
});

const takeBetween = define({
  parameters: { scores: "i32", least: "f64", below: "f64", count: "i32", taken: "i32" },
  locals: { at: "i32", found: "i32" },
  result: "i32",
  body: ({ scores, least, below, count, taken, at, found }) => {
    const score = f64.load(entry(scores, at, 3));
    return [
      repeat(at, count.get, 1, [
        f64.store(entry(taken, found, 3), score),
        found.set(i32.add(found.get, i32.and(f64.ge(score, least.get), f64.lt(score, below.get)))),
      ]),
      found.get,
    ];
  },
});

const gather = define({
  parameters: { models: "i32", many: "i32", places: "i32", count: "i32", packed: "i32" },
  locals: { at: "i32", j: "i32" },
  body: ({ models, many, places, count, packed, at, j }) => [
    repeat(j, many.get, 1, [
      at.set(i32.const(0)),
      repeat(at, count.get, 1, [
        f64.store(
          entry(packed, at, 3),
          f64.load(i32.add(models.get, i32.shl(i32.load(entry(places, at, 2)), i32.const(3)))),
        ),
      ]),
      advance(models, STRIDE_BYTES),
      advance(packed, STRIDE_BYTES),
    ]),
  ],
});

const scatter = define({
  parameters: { packed: "i32", places: "i32", count: "i32", values: "i32" },
  locals: { at: "i32" },
  body: ({ packed, places, count, values, at }) => [
    repeat(at, count.get, 1, [
      f64.store(
        i32.add(values.get, i32.shl(i32.load(entry(places, at, 2)), i32.const(3))),
        f64.load(entry(packed, at, 3)),
      ),
    ]),
  ],
});

/** Every kernel there is. */
export type KernelName = keyof typeof conversions | keyof typeof plain;

export const SIMD_KERNELS: Readonly<Record<KernelName, FunctionSource>> = {
  widenBfloat16,
  widenFloat16,
  widenFloat32,
  narrowBfloat16,
  narrowFloat32,
  addWeights,
  addUpdates,
  addToBase,
  elect,
  subtract,
  magnitudes,
  keepBetween,
  keepMarked,
  variances,
  product,
  sumOfMagnitudes,
  addSquares,
  countMagnitudes,
  countBins: countBins(12),
  findFrom,
  takeBetween,
  gather,
  scatter,
};
