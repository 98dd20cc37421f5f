/** What must hold of merges whatever the weights are. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { z } from "zod";
import { createBlockMemory } from "#src/merge/block-memory.js";
import { METHODS } from "#src/merge/methods/index.js";
import { createRandom } from "#src/random.js";
import { mergeArrays } from "../merge-arrays.ts";

const entry = fc.double({ min: -1, max: 1, noNaN: true });
const size = fc.integer({ min: 1, max: 40 });
/** A base and some targets of one size. */
const inputs = size.chain((length) => {
  const tensor = fc.array(entry, { minLength: length, maxLength: length });
  return fc.record({ base: tensor, models: fc.array(tensor, { minLength: 1, maxLength: 5 }) });
});
const share = fc.constantFrom(0.1, 0.3, 0.5, 1);
const variant = fc.constantFrom("fusechat", "paper", "mergekit");

/** Sums of a few numbers of size 1: a few units in the last place. */
function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-12);
}

describe("linear", () => {
  test("merging a model with itself gives the model", () => {
    fc.assert(
      fc.property(
        inputs,
        fc.array(fc.double({ min: 0.1, max: 2, noNaN: true }), { minLength: 1, maxLength: 5 }),
        ({ base }, weights) => {
          const models = weights.map(() => base);
          const { values } = mergeArrays("linear", {}, models, { modelOptions: weights.map((weight) => ({ weight })) });
          expectClose(values, base);
        },
      ),
    );
  });

  test("only the ratios of the weights count, unless normalize is false", () => {
    const models = [
      [1, 2],
      [3, -4],
    ];
    const at = (normalize: boolean, factor: number): number[] =>
      mergeArrays("linear", { normalize }, models, { modelOptions: [{ weight: factor }, { weight: 3 * factor }] })
        .values;
    expectClose(at(true, 7), at(true, 0.5));
    expectClose(at(true, 1), [2.5, -2.5]);
    expectClose(
      at(false, 2),
      at(false, 1).map((value) => 2 * value),
    );
  });

  test("the order of the models does not matter", () => {
    fc.assert(
      fc.property(inputs, ({ models }) => {
        const weights = models.map((_, j) => ({ weight: j + 1 }));
        const forward = mergeArrays("linear", {}, models, { modelOptions: weights });
        const backward = mergeArrays("linear", {}, [...models].reverse(), { modelOptions: [...weights].reverse() });
        expectClose(backward.values, forward.values);
      }),
    );
  });
});

describe("sce", () => {
  test("coefficients sum to one", () => {
    fc.assert(
      fc.property(inputs, share, variant, ({ base, models }, select_topk, name) => {
        const { coefficients } = mergeArrays("sce", { select_topk, variant: name }, models, { base });
        expect(coefficients).toHaveLength(models.length);
        expect(coefficients!.reduce((total, eta) => total + eta, 0)).toBeCloseTo(1, 12);
      }),
    );
  });

  test("merging identical models gives the model, where all entries are merged", () => {
    fc.assert(
      fc.property(inputs, fc.integer({ min: 1, max: 5 }), ({ base, models }, count) => {
        const copies = Array.from({ length: count }, () => models[0]!);
        for (const options of [
          { variant: "fusechat", select_topk: 0.1 },
          { variant: "fusechat" },
          { variant: "paper" },
        ]) {
          expectClose(mergeArrays("sce", options, copies, { base }).values, models[0]!);
        }
      }),
    );
  });

  test("targets that did not move give the base", () => {
    const base = [1, -2, 3];
    for (const name of ["fusechat", "paper", "mergekit"]) {
      const { values, coefficients } = mergeArrays("sce", { variant: name, select_topk: 0.5 }, [base, base], { base });
      expect(values).toEqual(base);
      expect(coefficients).toEqual([0.5, 0.5]);
    }
  });

  test("the order of the models does not matter", () => {
    // Sixty-fourths, and a power of two of them: variances and votes are exact, so no rounding decides at the edge.
    const exact = fc.integer({ min: -64, max: 64 }).map((value) => value / 64);
    const exactInputs = fc.tuple(size, fc.constantFrom(1, 2, 4)).chain(([length, count]) => {
      const tensor = fc.array(exact, { minLength: length, maxLength: length });
      return fc.record({ base: tensor, models: fc.array(tensor, { minLength: count, maxLength: count }) });
    });
    fc.assert(
      fc.property(exactInputs, share, variant, ({ base, models }, select_topk, name) => {
        const options = { select_topk, variant: name };
        const forward = mergeArrays("sce", options, models, { base });
        const backward = mergeArrays("sce", options, [...models].reverse(), { base });
        expectClose(backward.values, forward.values);
        expectClose([...backward.coefficients!].reverse(), forward.coefficients!);
      }),
    );
  });

  test("updates scale with the targets' updates, however small they are", () => {
    // About a base of 0 nothing is lost to rounding.
    const base = [0, 0, 0, 0];
    const updates = [
      [1, -2, 0, 4],
      [2, 1, -1, -3],
      [0, 3, 2, 1],
    ];
    const merged = (scale: number, name: string): number[] => {
      const models = updates.map((update) => update.map((value) => scale * value));
      return mergeArrays("sce", { select_topk: 0.5, variant: name }, models, { base }).values.map(
        (value) => value / scale,
      );
    };
    for (const name of ["fusechat", "paper"]) expectClose(merged(2 ** -30, name), merged(1, name));
  });

  test("by hand: two targets, one entry selected", () => {
    const base = [0, 0, 0];
    const models = [
      [2, 1, 0],
      [-1, 1, 1],
    ];
    // Variances 2.25, 0 and 0.25: of the two that are not 0 half is one, the first; energies 4 and 1.
    const at = (name: string) => mergeArrays("sce", { select_topk: 0.5, variant: name }, models, { base });
    expect(at("fusechat").coefficients).toEqual([0.8, 0.2]);
    // All entries: the vote of the first is positive, in the second both agree, in the third only one moved.
    expectClose(at("fusechat").values, [2, 1, 1]);
    expectClose(at("mergekit").values, [2, 0, 0]);
    // Half of three entries is one.
    expectClose(at("paper").values, [1.6, 0, 0]);
  });

  test("mergekit's threshold makes equal shares of small updates, in the variant of that name and with its likeness", () => {
    const models = [
      [3e-4, 1e-4],
      [1e-4, -1e-4],
    ];
    const base = [0, 0];
    const of = (options: Record<string, unknown>, likeMergekit = false) =>
      mergeArrays("sce", options, models, { base, likeMergekit }).coefficients!.map((eta) => Number(eta.toFixed(3)));
    expect(of({})).toEqual([0.833, 0.167]);
    expect(of({}, true)).toEqual([0.5, 0.5]);
    expect(of({ variant: "mergekit" })).toEqual([0.5, 0.5]);
    expect(of({ variant: "paper" }, true)).toEqual([0.833, 0.167]);
  });
});

describe("every method", () => {
  /** Options that merge everything; the models' weights are equal. */
  const weighted = { weight: 1 };
  const settings: Readonly<Record<string, { options?: Record<string, unknown>; model?: Record<string, unknown> }>> = {
    linear: { model: weighted },
    multislerp: { model: weighted },
    karcher: {},
    varm: {},
    task_arithmetic: { options: { normalize: true }, model: weighted },
    ties: { model: weighted },
    dare_linear: { options: { normalize: true }, model: weighted },
    dare_ties: { options: { normalize: true }, model: weighted },
    della: { model: weighted },
    della_linear: { options: { normalize: true }, model: weighted },
    breadcrumbs: { options: { normalize: true }, model: weighted },
    breadcrumbs_ties: { options: { normalize: true }, model: weighted },
    ram: { options: { epsilon: 0 } },
    ramplus_tl: { options: { epsilon: 0, r: 0 } },
    model_stock: {},
  };
  const merge = (name: string, models: readonly (readonly number[])[], base: readonly number[]): readonly number[] => {
    const { options = {}, model = {} } = settings[name]!;
    const takesBase = METHODS.find((method) => method.name === name)!.base === "origin";
    return mergeArrays(name, options, models, {
      ...(takesBase && { base }),
      modelOptions: models.map(() => model),
    }).values;
  };
  // Sixty-fourths: votes are exact, so that no rounding decides.
  const exact = fc.integer({ min: -64, max: 64 }).map((value) => value / 64);
  const models = fc.integer({ min: 1, max: 30 }).chain((length) => {
    const tensor = fc.array(exact, { minLength: length, maxLength: length });
    return fc.record({ base: tensor, models: fc.array(tensor, { minLength: 2, maxLength: 4 }) });
  });

  test.each(Object.keys(settings))("%s of identical models is the model", (name) => {
    fc.assert(
      fc.property(models, ({ base, models: [first] }) => {
        const values = merge(name, [first!, first!, first!], base);
        for (const [i, value] of first!.entries()) expect(Math.abs(values[i]! - value)).toBeLessThan(1e-7);
      }),
      { numRuns: 50 },
    );
  });

  test.each(Object.keys(settings))("%s does not care for the order of models of equal weight", (name) => {
    fc.assert(
      fc.property(models, ({ base, models: list }) => {
        // Of opposite directions no point of the sphere is the mean.
        const ordered =
          name === "karcher" || name === "multislerp"
            ? list.map((model) => model.map((value) => Math.abs(value) + 1))
            : list;
        const forward = merge(name, ordered, base);
        const backward = merge(name, [...ordered].reverse(), base);
        for (const [i, value] of forward.entries()) expect(Math.abs(backward[i]! - value)).toBeLessThan(1e-6);
      }),
      { numRuns: 50 },
    );
  });

  /** Those that a schema knows. */
  const known = ({ shape }: z.ZodObject, all: Record<string, unknown>): Record<string, unknown> =>
    Object.fromEntries(Object.entries(all).filter(([key]) => key in shape));

  test.each(Object.keys(settings).filter((name) => name.match(/task|ties|dare|della|breadcrumbs/)))(
    "%s: twice the weights are twice the update",
    (name) => {
      const { modelOptions } = METHODS.find((method) => method.name === name)!;
      fc.assert(
        fc.property(models, fc.array(exact, { minLength: 4, maxLength: 4 }), ({ base, models: list }, weights) => {
          const options = { normalize: false };
          const at = (factor: number): number[] =>
            mergeArrays(name, options, list, {
              base,
              modelOptions: list.map((_, j) => known(modelOptions, { weight: factor * weights[j]!, density: 0.5 })),
            }).values.map((value, i) => value - base[i]!);
          const once = at(1);
          for (const [i, value] of at(2).entries()) expect(Math.abs(value - 2 * once[i]!)).toBeLessThan(1e-12);
        }),
        { numRuns: 30 },
      );
    },
  );

  test.each(METHODS.map(({ name }) => name))("%s gives the same bits with plain kernels", (name) => {
    const method = METHODS.find((candidate) => candidate.name === name)!;
    const { base: role, inputs: { most = 3 } = {} } = method;
    const random = createRandom("kernels");
    const tensor = (): Float64Array => Float64Array.from({ length: 9002 }, () => Math.fround(random.normal()));
    const list = Array.from({ length: Math.min(3, most) }, tensor);
    const base = role === "origin" ? { base: tensor() } : {};
    const weights = [0.3, 0.7, 0.4].slice(0, list.length);
    const run = (memory = createBlockMemory()) =>
      mergeArrays(name, known(method.options, { t: 0.3, select_topk: 0.2 }), list, {
        ...base,
        modelOptions: weights.map((weight) => known(method.modelOptions, { weight, density: 0.4 })),
        shape: [2, 4501],
        memory,
      });
    expect(run()).toEqual(run(createBlockMemory(0)));
  });

  test("every method with weights has them, and a weight of more is more", () => {
    const at = (name: string, weight: number): number =>
      mergeArrays(name, { normalize: false }, [[3]], { base: [1], modelOptions: [{ weight }] }).values[0]!;
    for (const name of ["task_arithmetic", "ties", "dare_linear", "dare_ties", "della", "della_linear"]) {
      expect([at(name, 0), at(name, 0.5), at(name, 2)], name).toEqual([1, 2, 5]);
    }
  });
});

describe("small tensors, by hand", () => {
  test("slerp between right angles goes round, between parallels straight", () => {
    const at = (t: number, second: number[]): number[] => mergeArrays("slerp", { t }, [[2, 0], second], {}).values;
    expectClose(at(0.5, [0, 2]), [Math.SQRT2, Math.SQRT2]);
    expectClose(at(0.25, [4, 0]), [2.5, 0]);
    expectClose(at(0, [0, 2]), [2, 0]);
  });

  test("nuslerp has an angle for each row, or for each column", () => {
    const at = (options: Record<string, unknown>): number[] =>
      mergeArrays(
        "nuslerp",
        options,
        [
          [1, 0, 0, 1],
          [0, 1, 0, 1],
        ],
        {
          shape: [2, 2],
          modelOptions: [{ weight: 1 }, { weight: 1 }],
        },
      ).values;
    const half = Math.SQRT1_2;
    expectClose(at({ nuslerp_flatten: false }), [half, half, 0, 1]);
    // Columns [1, 0] against [0, 0], which has no direction, and [0, 1] against [1, 1]: half of 45 degrees each.
    const [, top, , bottom] = at({ nuslerp_flatten: false, nuslerp_row_wise: true });
    const part = Math.sin(Math.PI / 8) / Math.sin(Math.PI / 4);
    expectClose([top!, bottom!], [part, 2 * part]);
  });

  test("karcher of three axes is their middle, of opposite ones the first", () => {
    const third = 1 / Math.sqrt(3);
    const axes = [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ];
    expectClose(mergeArrays("karcher", {}, axes, {}).values, [third, third, third]);
    expectClose(
      mergeArrays(
        "karcher",
        {},
        [
          [1, 0],
          [-1, 0],
        ],
        {},
      ).values,
      [1, 0],
    );
    expectClose(
      mergeArrays(
        "karcher",
        {},
        [
          [0, 0],
          [0, 0],
        ],
        {},
      ).values,
      [0, 0],
    );
  });

  test("ties trims, elects and averages those of the elected sign", () => {
    const at = (weights: number[], likeMergekit: boolean): number[] =>
      mergeArrays(
        "ties",
        {},
        [
          [4, 1, -2],
          [-1, 3, -2],
        ],
        {
          base: [0, 0, 0],
          modelOptions: weights.map((weight) => ({ weight, density: 0.7 })),
          likeMergekit,
        },
      ).values;
    // Two of three entries are kept of each: 4 and -2, 3 and -2.
    expectClose(at([1, 1], false), [4, 3, -2]);
    // With a negative weight the sign of the vote stays that of the result; mergekit's divisor turns it round.
    expectClose(at([1, -1], false), [4, -3, 2]);
    expectClose(at([1, -1], true), [4, 3, -2]);
  });

  test("breadcrumbs drops the largest and keeps the next", () => {
    const at = (density: number, gamma: number): number[] =>
      mergeArrays("breadcrumbs", {}, [[5, -4, 3, -2, 1]], {
        base: [0, 0, 0, 0, 0],
        modelOptions: [{ weight: 1, density, gamma }],
      }).values;
    expectClose(at(0.4, 0.2), [0, -4, 3, 0, 0]);
    // Four to keep and two to drop do not fit: the four smallest stay.
    expectClose(at(0.8, 0.4), [0, -4, 3, -2, 1]);
    expectClose(at(1, 0.4), [5, -4, 3, -2, 1]);
  });

  test("model_stock halves what agrees by half, and keeps small updates", () => {
    // Updates at 60 degrees: c = 1/2, t = 2 c / (1 + c) = 2/3.
    const at = (scale: number, likeMergekit: boolean): number[] =>
      mergeArrays(
        "model_stock",
        {},
        [
          [scale, 0],
          [scale / 2, (scale * Math.sqrt(3)) / 2],
        ],
        {
          base: [0, 0],
          likeMergekit,
        },
      ).values.map((value) => value / scale);
    expectClose(at(1, false), [0.5, Math.sqrt(3) / 6]);
    expectClose(at(1e-5, false), [0.5, Math.sqrt(3) / 6]);
    expect(at(1e-5, true)[0]).toBeLessThan(0.01);
  });

  test("varm weighs by squared updates, and leaves alone what nobody moved", () => {
    const models = [
      [2, 1, 7],
      [1, 3, 7],
    ];
    const base = [0, 1, 7];
    const matrix = mergeArrays("varm", {}, models, { base });
    expectClose([...matrix.coefficients!], [4 / 9, 5 / 9]);
    expectClose(matrix.values, [(4 * 2 + 5) / 9, (4 + 5 * 3) / 9, 7]);
    const entries = mergeArrays("varm", { granularity: "parameter" }, models, { base });
    expectClose(entries.values, [9 / 5, 3, 7]);
    expect(entries.values[2]).toBe(7);
  });

  test("ram averages movers, ramplus_tl lengthens the lone ones", () => {
    const models = [
      [1, 2, 0, 4],
      [3, 0, 0, 0],
    ];
    const base = [0, 0, 0, 0];
    expectClose(mergeArrays("ram", {}, models, { base }).values, [2, 2, 0, 4]);
    // The first model shares one entry and has two alone: 1 + 0.5 x min(0.4, 1/2).
    const options = { r: 0.5, alpha: 0.4 };
    expectClose(mergeArrays("ramplus_tl", options, models, { base }).values, [2, 2.4, 0, 4.8]);
  });

  test("nearswap moves by at most t", () => {
    expectClose(
      mergeArrays("nearswap", { t: 0.5 }, [[1, -3, 0.25, 0]], { base: [0, 0, 0, 0] }).values,
      [0.5, -0.5, 0.25, 0],
    );
  });

  test("arcee_fusion takes the outliers of importance", () => {
    const base = [0, 0, 0, 0, 0, 0, 0, 0];
    // Quartiles of importance at updates of 2, 4 and 6: the mark is at 10.
    const model = [1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 7e-3, 2];
    expectClose(mergeArrays("arcee_fusion", {}, [model], { base, shape: [8] }).values, [0, 0, 0, 0, 0, 0, 0, 2]);
  });
});

test("weights that cancel are refused where they are divided by their sum", () => {
  const models = [{ weight: 1 }, { weight: -1 }];
  for (const [name, options, key] of [
    ["linear", { normalize: true }, "normalize"],
    ["multislerp", { normalize_weights: true, eps: 0 }, "normalize_weights"],
  ] as const) {
    const method = METHODS.find((candidate) => candidate.name === name)!;
    expect(method.problem!(options, models)).toBe(
      `the weights 1, -1 sum to 0, so that nothing can be divided by it; change them or set ${key}: false`,
    );
    expect(method.problem!({ ...options, [key]: false }, models)).toBeUndefined();
  }
});
