/** mergekit's parameters: values, gradients, filters. */
import { describe, expect, test } from "vitest";
import { plainValue, resolveSetting } from "#src/merge/parameters.js";

describe("a gradient", () => {
  test("is linear between evenly spaced points", () => {
    const at = (depth: number) => resolveSetting([0.2, 0.8, 0.4], "x", depth);
    expect([0, 0.25, 0.5, 0.75, 1].map(at)).toEqual([0.2, 0.5, 0.8, expect.closeTo(0.6, 12), 0.4]);
  });

  test("of words and switches takes the one below", () => {
    const at = (depth: number) => resolveSetting(["a", "b", "c"], "x", depth);
    expect([0, 0.49, 0.5, 0.99, 1].map(at)).toEqual(["a", "a", "b", "b", "c"]);
  });

  test("of one value is that value", () => {
    expect(resolveSetting([0.7], "x", 0.3)).toBe(0.7);
  });
});

describe("filters", () => {
  const setting = [{ filter: "self_attn", value: [0, 1] }, { filter: "layers.1", value: "0.9" }, { value: 0.5 }];

  test("the first that fits holds", () => {
    expect(resolveSetting(setting, "model.layers.1.self_attn.q_proj.weight", 1)).toBe(1);
    expect(resolveSetting(setting, "model.layers.1.mlp.up_proj.weight", 1)).toBe(0.9);
    expect(resolveSetting(setting, "model.norm.weight", 0)).toBe(0.5);
  });

  test("are parts of names: layers.1 also fits layers.10", () => {
    expect(resolveSetting(setting, "model.layers.10.mlp.up_proj.weight", 1)).toBe(0.9);
  });

  test("none that fits leaves the setting to the next scope", () => {
    expect(resolveSetting([{ filter: "mlp", value: 1 }], "model.norm.weight", 0)).toBeUndefined();
    expect(resolveSetting({ filter: "*", value: 1 }, "model.norm.weight", 0)).toBe(1);
  });
});

test("numbers and switches may be written as text", () => {
  expect(["0.5", "5e-1", " 2 ", "yes", "Off", "paper", ""].map(plainValue)).toEqual([
    0.5,
    0.5,
    2,
    true,
    false,
    "paper",
    "",
  ]);
});
