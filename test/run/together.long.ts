/** A target of several sources in whole runs: what is trained, what is merged, and that the baseline is the same training. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createEngine } from "#src/engine/index.js";
import { loadRecipe } from "#src/recipe/load.js";
import { silent } from "#src/reporter.js";
import { runRecipe } from "#src/run/run-recipe.js";
import { CONVERSATIONS, GOLDEN, HELD_OUT, MISTRAL, QWEN2, temporaryFolder, writeRecipe } from "./fixtures.ts";

const RECIPE = `pivot: ${MISTRAL}
sources: [${QWEN2}, ${join(GOLDEN, "models/gemma2")}]
data: { path: ${CONVERSATIONS}, held_out_path: ${HELD_OUT} }
distributions: { rows: sampled }
`;
const FUSE = "function: avg-ce, level: group, tail: pivot, lr: 1.0e-3, epochs: 2, batch: 4";

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  const recipes = {
    together: `${RECIPE}fuse: { sources: together, ${FUSE} }\nmerge: { dtype: float32 }\n`,
    pairwise: `${RECIPE}fuse: { ${FUSE} }\nbaselines: [multi]\nevaluate: []\n`,
  };
  for (const [name, text] of Object.entries(recipes)) {
    const path = await writeRecipe(folder, text);
    await runRecipe(await loadRecipe(path), { out: join(folder, name) }, { reporter: silent, createEngine });
  }
}, 200_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const bytes = (path: string): Promise<Buffer> => readFile(join(folder, path, "model.safetensors"));
const json = async (path: string) => JSON.parse(await readFile(join(folder, path), "utf8"));

test("the fused model is the one target", async () => {
  const merge = await json("together/fused/merge.json");
  expect(JSON.stringify(merge)).toContain("linear");
  const [fused, target] = [await bytes("together/fused"), await bytes("together/targets/together")];
  const tensors = (file: Buffer) => file.subarray(8 + Number(file.readBigUInt64LE(0)));
  expect(tensors(fused).equals(tensors(target))).toBe(true);
});

test("the target names its sources, and what it has of each", async () => {
  const { source, settings, inputs, figures } = await json("together/targets/together/fuse.json");
  expect(source).toBe("qwen2 + gemma2");
  expect(settings).toMatchObject({ function: "avg-ce", level: "group", tail: "pivot" });
  expect(Object.keys(inputs)).toEqual(expect.arrayContaining(["aligned_shards_1", "aligned_shards_2", "labels"]));
  const sources: { conversations: number; rows: number }[] = figures.coverage.sources;
  // Gemma's template refuses the conversation with a system turn.
  expect(sources.map(({ conversations }) => conversations)).toEqual([8, 7]);
  for (const { rows } of sources) expect(rows).toBeGreaterThan(0);
});

test("it is evaluated beside the pivot and the sources", async () => {
  const { models } = await json("together/evaluate/held-out.json");
  expect(models.map(({ name }: { name: string }) => name)).toEqual([
    "mistral",
    "qwen2",
    "gemma2",
    "target-together",
    "fused",
  ]);
});

test("the baseline multi beside pairwise targets is that very training", async () => {
  expect((await bytes("pairwise/baselines/multi")).equals(await bytes("together/targets/together"))).toBe(true);
});
