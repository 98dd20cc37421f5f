/** What methods say of options and tensors that lead where hardly anybody wants to go. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Tensor } from "#src/formats/safetensors.js";
import { type SmallModels, smallModels } from "../small-models.ts";

let models: SmallModels;
const tensor = (...values: number[]): Tensor => ({
  dtype: "F32",
  shape: [values.length],
  data: Float32Array.from(values),
});

beforeAll(async () => {
  models = await smallModels();
  await models.model("base", 0, { a: tensor(0, 0), b: tensor(0, 0), c: tensor(0, 0) });
  await models.model("one", 0, { a: tensor(1, 0), b: tensor(1, 1), c: tensor(2, 0) });
  await models.model("two", 0, { a: tensor(-1, Math.sqrt(3)), b: tensor(1, 0), c: tensor(-1, 1) });
});

afterAll(() => models.remove());

const config = (method: string, parameters: object) => ({
  merge_method: method,
  base_model: "base",
  models: [{ model: "one" }, { model: "two" }],
  parameters,
});

test("model_stock tells the tensors whose updates are opposed, and draws them beyond the base", async () => {
  const { warnings, tensors } = await models.merge(config("model_stock", {}));
  expect(warnings).toEqual([
    '"a" and 1 more tensors: the updates are opposed on average (their mean cosine is below 0), which makes the factor negative: the result lies beyond base_model, away from the models',
  ]);
  // Cosine -1/2: t = 2 c / (1 + c) = -2, times the mean of [1, 0] and [-1, 1.73].
  expect(tensors.get("a")!.data[1]).toBeCloseTo(-Math.sqrt(3), 6);
});

test("dare and della tell what rescaling does, where it does", async () => {
  const heard = async (method: string, parameters: object): Promise<readonly string[]> =>
    (await models.merge(config(method, { weight: 1, ...parameters }))).warnings.map((text) => text.slice(5, 40));
  expect(await heard("dare_linear", { density: 0.1 })).toEqual(["density 0.1 leaves so little that r"]);
  expect(await heard("dare_linear", { density: 0.5 })).toEqual([]);
  expect(await heard("dare_ties", { density: 0.1, rescale: false })).toEqual([]);
  expect(await heard("della", { density: 0.5 })).toEqual(["larger entries are likelier to stay"]);
  expect(await heard("della", { density: 1 })).toEqual([]);
  expect(await heard("ties", { density: 0.1, rescale: true })).toEqual([]);
});
