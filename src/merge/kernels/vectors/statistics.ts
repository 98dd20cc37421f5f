/** Numbers of a tensor: variances over the models, and sums over entries, which have four lanes. */
import { define, type FunctionSource, f64, f64x2, repeat, v128 } from "../../../vectors/assembler.ts";
import {
  add,
  addLanes,
  advance,
  difference,
  entry,
  ONE,
  STRIDE_BYTES,
  sumOfLanes,
  toModel,
  walk,
  ZERO,
} from "./loops.ts";

export const variances: FunctionSource = define({
  parameters: { models: "i32", many: "i32", share: "f64", count: "i32", scores: "i32" },
  locals: {
    ...{ end: "i32", place: "i32", last: "i32", beyond: "v128" },
    ...{ f0: "v128", f1: "v128", s0: "v128", s1: "v128", q0: "v128", q1: "v128" },
  },
  body: ({ models, many, share, count, scores, end, place, last, beyond, ...rest }) => {
    const first = [rest.f0, rest.f1];
    const sum = [rest.s0, rest.s1];
    const squares = [rest.q0, rest.q1];
    return [
      walk(
        [
          [models, 3],
          [scores, 3],
        ],
        count,
        end,
        4,
        [
          place.set(models.get),
          last.set(models.get),
          toModel(last, many),
          ...first.map((f, v) => f.set(v128.load(place.get, 16 * v))),
          ...[...sum, ...squares].map((s) => s.set(ZERO)),
          advance(place, STRIDE_BYTES),
          repeat(place, last.get, STRIDE_BYTES, [
            ...first.flatMap((f, v) => [
              beyond.set(f64x2.sub(v128.load(place.get, 16 * v), f.get)),
              add(sum[v]!, beyond.get),
              add(squares[v]!, f64x2.mul(beyond.get, beyond.get)),
            ]),
          ]),
          ...sum.map((s, v) => {
            const spread = f64x2.sub(squares[v]!.get, f64x2.mul(f64x2.mul(s.get, s.get), f64x2.splat(share.get)));
            return v128.store(scores.get, f64x2.max(ZERO, f64x2.mul(spread, f64x2.splat(share.get))), 16 * v);
          }),
        ],
      ),
    ];
  },
});

export const product: FunctionSource = define({
  parameters: { vectors: "i32", a: "i32", b: "i32", count: "i32" },
  locals: { end: "i32", even: "v128", odd: "v128" },
  result: "f64",
  body: ({ vectors, a, b, count, end, even, odd }) => [
    a.set(entry(vectors, a, 3)),
    b.set(entry(vectors, b, 3)),
    ...addLanes(
      [
        [a, 3],
        [b, 3],
      ],
      count,
      end,
      even,
      odd,
      (offset) => f64x2.mul(v128.load(a.get, offset), v128.load(b.get, offset)),
    ),
    sumOfLanes(even),
  ],
});

export const sumOfMagnitudes: FunctionSource = define({
  parameters: { updates: "i32", j: "i32", count: "i32" },
  locals: { end: "i32", even: "v128", odd: "v128" },
  result: "f64",
  body: ({ updates, j, count, end, even, odd }) => [
    toModel(updates, j),
    ...addLanes([[updates, 3]], count, end, even, odd, (offset) => f64x2.abs(v128.load(updates.get, offset))),
    sumOfLanes(even),
  ],
});

export const addSquares: FunctionSource = define({
  parameters: { models: "i32", base: "i32", many: "i32", count: "i32", energies: "i32" },
  locals: { end: "i32", last: "i32", model: "i32", origin: "i32", update: "v128", even: "v128", odd: "v128" },
  body: ({ models, base, many, count, energies, end, last, model, origin, update, even, odd }) => [
    last.set(entry(energies, many, 3)),
    repeat(energies, last.get, 8, [
      model.set(models.get),
      origin.set(base.get),
      ...addLanes(
        [
          [model, 3],
          [origin, 3],
        ],
        count,
        end,
        even,
        odd,
        (offset) => [...update.set(difference(model, origin, offset)), ...f64x2.mul(update.get, update.get)],
      ),
      f64.store(energies.get, f64.add(f64.load(energies.get), sumOfLanes(even))),
      advance(models, STRIDE_BYTES),
    ]),
  ],
});

/** A comparison that holds is all bits, of which those of 1 are taken. */
export const countMagnitudes: FunctionSource = define({
  parameters: { models: "i32", j: "i32", base: "i32", magnitude: "f64", count: "i32" },
  locals: { end: "i32", even: "v128", odd: "v128" },
  result: "f64",
  body: ({ models, j, base, magnitude, count, end, even, odd }) => [
    toModel(models, j),
    ...addLanes(
      [
        [models, 3],
        [base, 3],
      ],
      count,
      end,
      even,
      odd,
      (offset) => v128.and(ONE, f64x2.eq(f64x2.abs(difference(models, base, offset)), f64x2.splat(magnitude.get))),
    ),
    sumOfLanes(even),
  ],
});
