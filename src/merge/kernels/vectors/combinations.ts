/** Sums over the models: weighted, of weights or of updates, and of those that an elected sign leaves. */
import { type Code, define, type FunctionSource, f64x2, i32, type Local, v128 } from "../../../vectors/assembler.ts";
import { add, entry, everyModel, ONE, SIGN, TURN, VECTORS, walk, ZERO } from "./loops.ts";

export const addWeights: FunctionSource = define({
  parameters: { models: "i32", weights: "i32", many: "i32", count: "i32", sums: "i32" },
  locals: {
    ...{ end: "i32", place: "i32", pointer: "i32", last: "i32", weight: "v128" },
    ...{ s0: "v128", s1: "v128", s2: "v128", s3: "v128" },
  },
  body: ({ models, weights, many, count, sums, end, place, pointer, last, weight, s0, s1, s2, s3 }) => {
    const sum = [s0, s1, s2, s3];
    return [
      last.set(entry(weights, many, 3)),
      walk(
        [
          [models, 3],
          [sums, 3],
        ],
        count,
        end,
        TURN,
        [
          ...sum.map((s) => s.set(ZERO)),
          ...everyModel(models, place, weights, pointer, last, weight, [
            ...sum.map((s, v) => add(s, f64x2.mul(weight.get, v128.load(place.get, 16 * v)))),
          ]),
          ...sum.map((s, v) => v128.store(sums.get, s.get, 16 * v)),
        ],
      ),
    ];
  },
});

export const addUpdates: FunctionSource = define({
  parameters: { models: "i32", base: "i32", weights: "i32", many: "i32", factor: "f64", count: "i32", merged: "i32" },
  locals: {
    ...{ end: "i32", place: "i32", pointer: "i32", last: "i32", weight: "v128" },
    ...{ s0: "v128", s1: "v128", s2: "v128", s3: "v128", o0: "v128", o1: "v128", o2: "v128", o3: "v128" },
  },
  body: ({ models, base, weights, many, factor, count, merged, end, place, pointer, last, weight, ...rest }) => {
    const sum = [rest.s0, rest.s1, rest.s2, rest.s3];
    const origin = [rest.o0, rest.o1, rest.o2, rest.o3];
    return [
      last.set(entry(weights, many, 3)),
      walk(
        [
          [models, 3],
          [base, 3],
          [merged, 3],
        ],
        count,
        end,
        TURN,
        [
          ...sum.map((s) => s.set(ZERO)),
          ...origin.map((o, v) => o.set(v128.load(base.get, 16 * v))),
          ...everyModel(models, place, weights, pointer, last, weight, [
            ...sum.map((s, v) =>
              add(s, f64x2.mul(weight.get, f64x2.sub(v128.load(place.get, 16 * v), origin[v]!.get))),
            ),
          ]),
          ...sum.map((s, v) => {
            const scaled = f64x2.mul(f64x2.splat(factor.get), s.get);
            return v128.store(merged.get, f64x2.add(origin[v]!.get, scaled), 16 * v);
          }),
        ],
      ),
    ];
  },
});

export const addToBase: FunctionSource = define({
  parameters: { base: "i32", factor: "f64", count: "i32", sums: "i32" },
  locals: { end: "i32" },
  body: ({ base, factor, count, sums, end }) => [
    walk(
      [
        [base, 3],
        [sums, 3],
      ],
      count,
      end,
      TURN,
      [
        ...VECTORS.map((v) => {
          const scaled = f64x2.mul(f64x2.splat(factor.get), v128.load(sums.get, 16 * v));
          return v128.store(sums.get, f64x2.add(v128.load(base.get, 16 * v), scaled), 16 * v);
        }),
      ],
    ),
  ],
});

/** Two vectors a turn: more would not stay in registers. */
export const elect: FunctionSource = define({
  parameters: {
    ...{ updates: "i32", votes: "i32", parts: "i32", shares: "i32", many: "i32" },
    ...{ base: "i32", factor: "f64", least: "f64", count: "i32", merged: "i32" },
  },
  locals: {
    ...{ end: "i32", place: "i32", pointer: "i32", last: "i32", weight: "v128", update: "v128", isIn: "v128" },
    ...{ part: "v128", share: "v128", v0: "v128", v1: "v128", s0: "v128", s1: "v128", d0: "v128", d1: "v128" },
  },
  body: ({ updates, votes, parts, shares, many, base, factor, least, count, merged, ...rest }) => {
    const { end, place, pointer, last, weight, update, isIn, part, share } = rest;
    const sign = [rest.v0, rest.v1];
    const sum = [rest.s0, rest.s1];
    const divisor = [rest.d0, rest.d1];
    /** What another list of weights has for the model whose vote is at `pointer`. */
    const ofModel = (list: Local): Code => v128.loadSplat64(i32.add(pointer.get, i32.sub(list.get, votes.get)));
    return [
      last.set(entry(votes, many, 3)),
      walk(
        [
          [updates, 3],
          [base, 3],
          [merged, 3],
        ],
        count,
        end,
        4,
        [
          ...sign.map((s) => s.set(ZERO)),
          ...everyModel(updates, place, votes, pointer, last, weight, [
            ...sign.map((s, v) => add(s, f64x2.mul(weight.get, v128.load(place.get, 16 * v)))),
          ]),
          ...sign.map((s) => s.set(v128.and(f64x2.lt(s.get, ZERO), SIGN))),
          ...[...sum, ...divisor].map((s) => s.set(ZERO)),
          ...everyModel(updates, place, votes, pointer, last, weight, [
            part.set(ofModel(parts)),
            share.set(ofModel(shares)),
            ...sign.flatMap((s, v) => [
              update.set(v128.load(place.get, 16 * v)),
              isIn.set(f64x2.gt(v128.xor(f64x2.mul(weight.get, update.get), s.get), ZERO)),
              add(sum[v]!, v128.and(f64x2.mul(part.get, update.get), isIn.get)),
              add(divisor[v]!, v128.and(share.get, isIn.get)),
            ]),
          ]),
          ...divisor.flatMap((d, v) => {
            const quotient = f64x2.div(f64x2.mul(f64x2.splat(factor.get), sum[v]!.get), d.get);
            return [
              d.set(v128.select(ONE, d.get, f64x2.eq(d.get, ZERO))),
              d.set(f64x2.max(d.get, f64x2.splat(least.get))),
              v128.store(merged.get, f64x2.add(v128.load(base.get, 16 * v), quotient), 16 * v),
            ];
          }),
        ],
      ),
    ];
  },
});
