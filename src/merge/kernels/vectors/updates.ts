/** What the models have beyond the base: all of it, its magnitude, and what is kept of it. */
import { define, type FunctionSource, f64x2, i32, i32x4, i64x2, repeat, v128 } from "../../../vectors/assembler.ts";
import { advance, difference, STRIDE_BYTES, TURN, toModel, VECTORS, walk } from "./loops.ts";

export const subtract: FunctionSource = define({
  parameters: { models: "i32", base: "i32", many: "i32", count: "i32", updates: "i32" },
  locals: { j: "i32", model: "i32", origin: "i32", out: "i32", end: "i32" },
  body: ({ models, base, many, count, updates, j, model, origin, out, end }) => [
    repeat(j, many.get, 1, [
      model.set(models.get),
      origin.set(base.get),
      out.set(updates.get),
      walk(
        [
          [model, 3],
          [origin, 3],
          [out, 3],
        ],
        count,
        end,
        TURN,
        [...VECTORS.map((v) => v128.store(out.get, difference(model, origin, 16 * v), 16 * v))],
      ),
      advance(models, STRIDE_BYTES),
      advance(updates, STRIDE_BYTES),
    ]),
  ],
});

export const magnitudes: FunctionSource = define({
  parameters: { models: "i32", j: "i32", base: "i32", count: "i32", scores: "i32" },
  locals: { end: "i32" },
  body: ({ models, j, base, count, scores, end }) => [
    toModel(models, j),
    walk(
      [
        [models, 3],
        [base, 3],
        [scores, 3],
      ],
      count,
      end,
      TURN,
      [...VECTORS.map((v) => v128.store(scores.get, f64x2.abs(difference(models, base, 16 * v)), 16 * v))],
    ),
  ],
});

export const keepBetween: FunctionSource = define({
  parameters: { models: "i32", j: "i32", base: "i32", least: "f64", below: "f64", count: "i32", updates: "i32" },
  locals: { end: "i32", update: "v128", size: "v128", from: "v128", to: "v128" },
  body: ({ models, j, base, least, below, count, updates, end, update, size, from, to }) => [
    toModel(models, j),
    toModel(updates, j),
    from.set(f64x2.splat(least.get)),
    to.set(f64x2.splat(below.get)),
    walk(
      [
        [models, 3],
        [base, 3],
        [updates, 3],
      ],
      count,
      end,
      TURN,
      [
        ...VECTORS.flatMap((v) => [
          update.set(difference(models, base, 16 * v)),
          size.set(f64x2.abs(update.get)),
          v128.store(
            updates.get,
            v128.and(update.get, v128.and(f64x2.ge(size.get, from.get), f64x2.lt(size.get, to.get))),
            16 * v,
          ),
        ]),
      ],
    ),
  ],
});

/** A word of bits at a time: each pair of entries compares its own two bits of it. */
export const keepMarked: FunctionSource = define({
  parameters: { models: "i32", j: "i32", base: "i32", bits: "i32", count: "i32", updates: "i32" },
  locals: { end: "i32", word: "v128" },
  body: ({ models, j, base, bits, count, updates, end, word }) => [
    toModel(models, j),
    toModel(updates, j),
    walk(
      [
        [models, 3],
        [base, 3],
        [updates, 3],
      ],
      count,
      end,
      32,
      [
        word.set(i32x4.splat(i32.load(bits.get))),
        ...Array.from({ length: 16 }, (_, v) => {
          const [low, high] = [2 ** (2 * v), 2 ** (2 * v + 1)];
          const own = v128.const(new Uint8Array(new Uint32Array([low, low, high, high]).buffer));
          const isIn = i64x2.eq(v128.and(word.get, own), own);
          return v128.store(updates.get, v128.and(difference(models, base, 16 * v), isIn), 16 * v);
        }),
        advance(bits, 4),
      ],
    ),
  ],
});
