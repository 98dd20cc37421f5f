/** What must hold of merges whatever the weights are. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
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
