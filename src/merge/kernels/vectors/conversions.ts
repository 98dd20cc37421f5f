/** Between the 16 and 32-bit floats of checkpoints and doubles; see `../conversions.ts`. */
import {
  type Code,
  define,
  type FunctionSource,
  f32x4,
  f64x2,
  i16x8,
  i32x4,
  type Local,
  v128,
  when,
} from "../../../vectors/assembler.ts";
import { entry, halves, walk, words, ZERO } from "./loops.ts";

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
const storeFloats = (values: Local, floats: Local, offset: number): Code[] => [
  v128.store(values.get, f64x2.promoteLow(floats.get), offset),
  v128.store(values.get, f64x2.promoteLow(highPair(floats)), offset + 16),
];

/** 1 where a pattern reached `exponent`, all its bits set: the pattern without its sign then carries into its place. */
function widen16(exponent: number, toFloats: (upper: Code) => Code): FunctionSource {
  return define({
    parameters: { stored: "i32", from: "i32", count: "i32", values: "i32" },
    locals: { end: "i32", patterns: "v128", floats: "v128", seen: "v128" },
    result: "i32",
    body: ({ stored, from, count, values, end, patterns, floats, seen }) => [
      stored.set(entry(stored, from, 1)),
      walk(
        [
          [stored, 1],
          [values, 3],
        ],
        count,
        end,
        8,
        [
          patterns.set(v128.load(stored.get)),
          seen.set(v128.or(seen.get, carry16(patterns, exponent))),
          ...[0, 4].flatMap((first) => [
            floats.set(toFloats(asUpperHalves(patterns, first))),
            ...storeFloats(values, floats, 8 * first),
          ]),
        ],
      ),
      v128.anyTrue(v128.and(seen.get, halves(0x8000))),
    ],
  });
}

const carry16 = (patterns: Local, exponent: number): Code =>
  i16x8.add(v128.and(patterns.get, halves(0x7fff)), halves(0x8000 - exponent));
const carry32 = (patterns: Local): Code =>
  i32x4.add(v128.and(patterns.get, words(0x7fffffff)), words(0x80000000 - 0x7f800000));

export const widenBfloat16: FunctionSource = widen16(0x7f80, (upper) => upper);

/** Exponents of float16 count from another zero: a product with 2^112, which is exact for subnormals too. */
export const widenFloat16: FunctionSource = widen16(0x7c00, (upper) =>
  v128.or(
    f32x4.mul(i32x4.shrU(v128.and(upper, words(0x7fff0000)), 3), words((127 + 112) << 23)),
    v128.and(upper, words(0x80000000)),
  ),
);

export const widenFloat32: FunctionSource = define({
  parameters: { stored: "i32", from: "i32", count: "i32", values: "i32" },
  locals: { end: "i32", floats: "v128", seen: "v128" },
  result: "i32",
  body: ({ stored, from, count, values, end, floats, seen }) => [
    stored.set(entry(stored, from, 2)),
    walk(
      [
        [stored, 2],
        [values, 3],
      ],
      count,
      end,
      4,
      [
        floats.set(v128.load(stored.get)),
        seen.set(v128.or(seen.get, carry32(floats))),
        ...storeFloats(values, floats, 0),
      ],
    ),
    v128.anyTrue(v128.and(seen.get, words(0x80000000))),
  ],
});

/** The four doubles from `offset` on as floats. */
const demoted = (values: Local, offset: number): Code =>
  lowPairs(f32x4.demote(v128.load(values.get, offset)), f32x4.demote(v128.load(values.get, offset + 16)));

export const narrowFloat32: FunctionSource = define({
  parameters: { values: "i32", count: "i32", stored: "i32", to: "i32" },
  locals: { end: "i32", floats: "v128", seen: "v128" },
  result: "i32",
  body: ({ values, count, stored, to, end, floats, seen }) => [
    stored.set(entry(stored, to, 2)),
    walk(
      [
        [stored, 2],
        [values, 3],
      ],
      count,
      end,
      4,
      [
        floats.set(demoted(values, 0)),
        seen.set(v128.or(seen.get, carry32(floats))),
        v128.store(stored.get, floats.get),
      ],
    ),
    v128.anyTrue(v128.and(seen.get, words(0x80000000))),
  ],
});

/**
 * By way of float32. Of a float32 halfway between two bfloat16 only the double knows on which side it lay: the pattern
 * is moved by one towards it, which decides the rounding and nothing else.
 */
export const narrowBfloat16: FunctionSource = define({
  parameters: { values: "i32", count: "i32", stored: "i32", to: "i32" },
  locals: { end: "i32", floats: "v128", tied: "v128", first: "v128", patterns: "v128", seen: "v128" },
  result: "i32",
  body: ({ values, count, stored, to, end, floats, tied, first, patterns, seen }) => {
    const four = (offset: number): Code[] => {
      const compare = (order: (a: Code, b: Code) => Code): Code =>
        v128.and(
          lowWords(
            order(f64x2.abs(v128.load(values.get, offset)), f64x2.abs(f64x2.promoteLow(floats.get))),
            order(f64x2.abs(v128.load(values.get, offset + 16)), f64x2.abs(f64x2.promoteLow(highPair(floats)))),
          ),
          tied.get,
        );
      return [
        floats.set(demoted(values, offset)),
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
      walk(
        [
          [stored, 1],
          [values, 3],
        ],
        count,
        end,
        8,
        [
          ...four(0),
          first.set(floats.get),
          ...four(32),
          patterns.set(i16x8.narrow(first.get, floats.get)),
          seen.set(v128.or(seen.get, carry16(patterns, 0x7f80))),
          v128.store(stored.get, patterns.get),
        ],
      ),
      v128.anyTrue(v128.and(seen.get, halves(0x8000))),
    ];
  },
});
