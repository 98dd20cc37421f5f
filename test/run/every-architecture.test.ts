/** A pivot and eight sources of eight other families, from their folders to the fused model. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { loadRecipe } from "#src/recipe/load.js";
import { silent } from "#src/reporter.js";
import { runRecipe } from "#src/run/run-recipe.js";
import { CONVERSATIONS, GOLDEN, HELD_OUT, temporaryFolder, writeRecipe } from "./fixtures.ts";

const SOURCES = ["llama", "mixtral", "qwen2", "internlm2", "llama3", "qwen3", "gemma2", "phi3"];

const RECIPE = `pivot: ${join(GOLDEN, "models/mistral")}
sources: [${SOURCES.map((name) => join(GOLDEN, "models", name)).join(", ")}]
data: { path: ${CONVERSATIONS}, held_out_path: ${HELD_OUT} }
fuse: { lr: 1.0e-3, epochs: 1, batch: 4 }
merge: { method: sce, select_topk: 0.5 }
`;

interface HeldOut {
  readonly models: readonly {
    readonly name: string;
    readonly metrics: { readonly nats_per_byte: { readonly value: number } };
  }[];
}

let folder: string;
let natsPerByte: Map<string, number>;
beforeAll(async () => {
  folder = await temporaryFolder();
  const { recipe, text, file } = await loadRecipe(await writeRecipe(folder, RECIPE));
  const out = join(folder, "run");
  await runRecipe(
    recipe,
    { out, recipeText: text, recipeFile: file },
    { reporter: silent, createEngine: createOnnxEngine },
  );
  const { models } = JSON.parse(await readFile(join(out, "evaluate/held-out.json"), "utf8")) as HeldOut;
  natsPerByte = new Map(models.map(({ name, metrics }) => [name, metrics.nats_per_byte.value]));
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

test("pivot and sources have the held-out figures of the independent implementation, to 1e-4", async () => {
  const { held_out: expected } = JSON.parse(await readFile(join(GOLDEN, "pipeline/expected.json"), "utf8")) as {
    held_out: Record<string, { nats_per_byte: number }>;
  };
  for (const name of ["mistral", "qwen2", "gemma2"]) {
    expect(Math.abs(natsPerByte.get(name)! - expected[name]!.nats_per_byte), name).toBeLessThan(1e-4);
  }
});

test("every source gives a target that predicts better than the pivot, and so does their merge", () => {
  const pivot = natsPerByte.get("mistral")!;
  for (const name of [...SOURCES.map((source) => `target-${source}`), "fused"]) {
    expect(natsPerByte.get(name), name).toBeLessThan(pivot - 0.01);
  }
});
