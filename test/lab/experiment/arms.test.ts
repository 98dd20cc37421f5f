/** Arms and claims of the experiment belong together. */
import { expect, test } from "vitest";
import { armsOf } from "#src/lab/experiment/arms.js";
import { claimsOf } from "#src/lab/experiment/claims.js";
import { EXPERIMENT } from "#src/lab/experiment/settings.js";
import { LAB_MODELS } from "#src/lab/models/index.js";
import { METHODS } from "#src/merge/methods/index.js";

const sources = LAB_MODELS.filter(({ role }) => role === "source").map(({ name }) => name);
const arms = armsOf({ ...EXPERIMENT, sources });

test("there are six models of the paper's architectures, with six tokenizers and six templates", () => {
  const architectures = LAB_MODELS.map(({ config }) => config.model_type);
  expect(architectures.sort()).toEqual(["internlm2", "llama", "mistral", "mistral", "mixtral", "qwen2"]);
  expect(new Set(LAB_MODELS.map(({ chatTemplate }) => chatTemplate)).size).toBe(6);
  expect(new Set(LAB_MODELS.map(({ tokenizer }) => JSON.stringify(tokenizer))).size).toBe(6);
  expect(LAB_MODELS.filter(({ role }) => role === "pivot")).toHaveLength(1);
});

test("every arm has a name of its own, and a merge comes after what it merges", () => {
  const seen = new Set<string>();
  for (const arm of arms) {
    expect(seen.has(arm.name), arm.name).toBe(false);
    if (arm.kind === "merge") {
      expect(METHODS.map(({ name }) => name)).toContain(arm.method);
      for (const name of arm.of) expect(seen.has(name), `${name} before ${arm.name}`).toBe(true);
    }
    seen.add(arm.name);
  }
});

test("claims speak of arms and given models, and none is made twice", () => {
  const names = new Set([...LAB_MODELS.map(({ name }) => name), ...arms.map(({ name }) => name)]);
  const claims = claimsOf({ pivot: "lab-mistral", sources, most: Math.max(...EXPERIMENT.curve) });
  for (const { text, arms: better, than } of claims) {
    for (const name of [...better, ...than]) expect(names.has(name), `${text}: ${name}`).toBe(true);
  }
  expect(new Set(claims.map(({ arms: better, than }) => JSON.stringify([better, than]))).size).toBe(claims.length);
});

test("every arm is asked about, but for those that others are merged from and the points of curves", () => {
  const claims = claimsOf({ pivot: "lab-mistral", sources, most: Math.max(...EXPERIMENT.curve) });
  const asked = new Set(claims.flatMap(({ arms: better, than }) => [...better, ...than]));
  const parts = new Set(arms.flatMap((arm) => (arm.kind === "merge" ? arm.of : [])));
  const left = arms.map(({ name }) => name).filter((name) => !asked.has(name) && !parts.has(name));
  expect(left.filter((name) => !/ of \d+$/.test(name))).toEqual([]);
});
