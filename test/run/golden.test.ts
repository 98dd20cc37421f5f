/** The golden pipeline as one recipe, against figures that an independent implementation computed. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createEngine } from "#src/engine/index.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { loadRecipe } from "#src/recipe/load.js";
import { silent } from "#src/reporter.js";
import { runRecipe } from "#src/run/run-recipe.js";
import { CONVERSATIONS, GOLDEN, HELD_OUT, MISTRAL, QWEN2, temporaryFolder, writeRecipe } from "./fixtures.ts";

const RECIPE = `pivot: ${MISTRAL}
sources: [${QWEN2}]
data: { path: ${CONVERSATIONS}, held_out_path: ${HELD_OUT}, date: 2024-02-29, template_variables: { level: 1 } }
align: { vocabulary: exact, width: 10 }
fuse: { level: conversation, lr: 1.0e-3, epochs: 6, batch: 8, warmup_ratio: 0.1, shuffle: false }
merge: { method: linear }
`;

let folder: string;
let out: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  out = join(folder, "run");
  const { recipe, text, file } = await loadRecipe(await writeRecipe(folder, RECIPE));
  await runRecipe(recipe, { out, recipeText: text, recipeFile: file }, { reporter: silent, createEngine });
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function json(path: string) {
  return JSON.parse(await readFile(path, "utf8"));
}

async function weightDifferences(a: string, b: string): Promise<Float64Array> {
  const ours = (await readSafetensors(join(a, "model.safetensors"))).tensors;
  const golden = (await readSafetensors(join(b, "model.safetensors"))).tensors;
  const differences: number[] = [];
  for (const [name, { data }] of golden) {
    const mine = ours.get(name)!.data;
    for (let i = 0; i < data.length; i++) differences.push(Math.abs(Number(mine[i]) - Number(data[i])));
  }
  return Float64Array.from(differences).sort();
}

test("the target's weights after six steps: 99.9 % within 5e-6, all within 3e-4", async () => {
  const differences = await weightDifferences(join(out, "targets/qwen2"), join(GOLDEN, "pipeline/targets/qwen2"));
  expect(differences.length).toBe(83_088);
  expect(differences[Math.floor(0.999 * differences.length)]).toBeLessThan(5e-6);
  expect(differences.at(-1)).toBeLessThan(3e-4);
});

test("the average of one target is that target", async () => {
  const differences = await weightDifferences(join(out, "fused"), join(out, "targets/qwen2"));
  expect(differences.at(-1)).toBe(0);
});

test("held-out nats per byte of pivot, source and target, within 1e-4", async () => {
  const expected = (await json(join(GOLDEN, "pipeline/expected.json"))).held_out;
  const { models } = await json(join(out, "evaluate/held-out.json"));
  for (const [name, golden] of [
    ["mistral", "mistral"],
    ["qwen2", "qwen2"],
    ["target-qwen2", "targets/qwen2"],
  ] as const) {
    const found = models.find((model: { name: string }) => model.name === name).metrics.nats_per_byte.value;
    expect(Math.abs(found - expected[golden].nats_per_byte), name).toBeLessThan(1e-4);
  }
});

test("the recipe's date and variables reach the prompts of every teacher, and no figure of these templates", async () => {
  for (const name of ["mistral", "qwen2"]) {
    const settings = await json(join(out, "distributions", name, "settings.json"));
    expect(settings).toMatchObject({ date: "2024-02-29", template_variables: '{"level":1}', template_name: "default" });
  }
});

test("the prepared data are the conversations, in order", async () => {
  const ids = async (path: string) => {
    const lines = (await readFile(path, "utf8")).trim().split("\n");
    return lines.map((line) => JSON.parse(line).turns);
  };
  expect(await ids(join(out, "data/train.jsonl"))).toEqual(await ids(CONVERSATIONS));
  expect(await ids(join(out, "data/held-out.jsonl"))).toEqual(await ids(HELD_OUT));
});
