import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { openWeights } from "#src/formats/weights.js";
import { writeModelFiles } from "#src/lab/model-folder.js";
import { LAB_MODELS } from "#src/lab/models/index.js";
import { checkWeights, openModel } from "#src/models/index.js";

const shipped = resolve(import.meta.dirname, "../../lab/models");

test.each(LAB_MODELS)("$name is shipped whole, at most 3 MB of weights, and opens", async ({ name, dtype }) => {
  const folder = join(shipped, name);
  expect((await stat(join(folder, "model.safetensors"))).size).toBeLessThanOrEqual(3_000_000);
  const weights = await openWeights(folder);
  const model = await openModel(folder);
  checkWeights(model, weights.tensors);
  expect(model.parameters).toBeGreaterThan(700_000);
  const stored = new Set([...weights.tensors.values()].map((tensor) => tensor.dtype));
  expect([...stored]).toEqual([dtype === "float16" ? "F16" : "BF16"]);
  expect(await readdir(folder)).toContain("README.md");
});

test.each(LAB_MODELS)("$name's files besides the weights are what this program writes", async (model) => {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-lab-"));
  await writeModelFiles(model, folder);
  for (const name of await readdir(folder)) {
    expect(await readFile(join(shipped, model.name, name), "utf8"), name).toBe(
      await readFile(join(folder, name), "utf8"),
    );
  }
  await rm(folder, { recursive: true, force: true });
});
