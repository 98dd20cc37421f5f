/** Counting scores by size, and finding, packing and unpacking the entries with large ones. */
import {
  type Code,
  define,
  type FunctionSource,
  f64,
  f64x2,
  i32,
  i64x2,
  repeat,
  v128,
  when,
} from "../../../vectors/assembler.ts";
import { advance, entry, STRIDE_BYTES, walk } from "./loops.ts";

/** Bins are the upper bits of a double, whose sign is not set. */
const BIN_SHIFT = 12;

export const countBins: FunctionSource = define({
  parameters: { scores: "i32", count: "i32", histogram: "i32" },
  locals: { end: "i32", bin: "i32", seen: "i32" },
  result: "i32",
  body: ({ scores, count, histogram, end, bin, seen }) => [
    walk([[scores, 3]], count, end, 1, [
      bin.set(i32.shrU(i32.load(scores.get, 4), i32.const(BIN_SHIFT))),
      seen.set(i32.or(seen.get, bin.get)),
      bin.set(entry(histogram, bin, 2)),
      i32.store(bin.get, i32.add(i32.load(bin.get), i32.const(1))),
    ]),
    seen.get,
  ],
});

/** Every entry is written, and stays where the next one does not take its place. */
export const findFrom: FunctionSource = define({
  parameters: { scores: "i32", least: "f64", count: "i32", places: "i32" },
  locals: { at: "i32", found: "i32" },
  result: "i32",
  body: ({ scores, least, count, places, at, found }) => [
    repeat(at, count.get, 1, [
      i32.store(entry(places, found, 2), at.get),
      found.set(i32.add(found.get, f64.ge(f64.load(scores.get), least.get))),
      advance(scores, 8),
    ]),
    found.get,
  ],
});

/** Few are taken: a vector without any is passed over. */
export const takeBetween: FunctionSource = define({
  parameters: { scores: "i32", least: "f64", below: "f64", count: "i32", taken: "i32" },
  locals: { end: "i32", odd: "i32", found: "i32", isIn: "v128", from: "v128", to: "v128" },
  result: "i32",
  body: ({ scores, least, below, count, taken, end, odd, found, isIn, from, to }) => {
    const pair = v128.load(scores.get);
    const compare = isIn.set(v128.and(f64x2.ge(pair, from.get), f64x2.lt(pair, to.get)));
    /** Written in any case, and stays where the next one does not take its place. */
    const take = (lane: number): Code[] => [
      f64.store(entry(taken, found, 3), f64.load(scores.get, 8 * lane)),
      found.set(i32.sub(found.get, i64x2.extractWord(isIn.get, lane))),
    ];
    return [
      from.set(f64x2.splat(least.get)),
      to.set(f64x2.splat(below.get)),
      odd.set(i32.and(count.get, i32.const(1))),
      count.set(i32.sub(count.get, odd.get)),
      walk([[scores, 3]], count, end, 2, [compare, when(v128.anyTrue(isIn.get), [...take(0), ...take(1)])]),
      when(odd.get, [compare, ...take(0)]),
      found.get,
    ];
  },
});

export const gather: FunctionSource = define({
  parameters: { models: "i32", many: "i32", places: "i32", count: "i32", packed: "i32" },
  locals: { j: "i32", place: "i32", out: "i32", end: "i32", at: "i32" },
  body: ({ models, many, places, count, packed, j, place, out, end, at }) => [
    repeat(j, many.get, 1, [
      place.set(places.get),
      out.set(packed.get),
      walk(
        [
          [place, 2],
          [out, 3],
        ],
        count,
        end,
        1,
        [at.set(i32.load(place.get)), f64.store(out.get, f64.load(entry(models, at, 3)))],
      ),
      advance(models, STRIDE_BYTES),
      advance(packed, STRIDE_BYTES),
    ]),
  ],
});

export const scatter: FunctionSource = define({
  parameters: { packed: "i32", places: "i32", count: "i32", values: "i32" },
  locals: { end: "i32", at: "i32" },
  body: ({ packed, places, count, values, end, at }) => [
    walk(
      [
        [places, 2],
        [packed, 3],
      ],
      count,
      end,
      1,
      [at.set(i32.load(places.get)), f64.store(entry(values, at, 3), f64.load(packed.get))],
    ),
  ],
});
