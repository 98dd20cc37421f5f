import { rm } from "node:fs/promises";
import { expect, test } from "vitest";
import { planTable } from "#src/cli/plan.js";
import { assumedThroughput } from "#src/engine/onnx/throughput.js";
import { loadRecipe } from "#src/recipe/load.js";
import { openInputs } from "#src/recipe/open-inputs.js";
import { derivePlan } from "#src/recipe/plan.js";
import { temporaryFolder, writeRecipe } from "../run/fixtures.ts";

test("a stage that needs more memory than there is has a line that says how much", async () => {
  const folder = await temporaryFolder();
  try {
    const { recipe, where } = await loadRecipe(await writeRecipe(folder));
    const inputs = await openInputs(recipe, where);
    const lines = (available: number) =>
      planTable(derivePlan(recipe, inputs, { throughput: assumedThroughput(1), availableBytes: available }))
        .split("\n")
        .filter((line) => line.includes("will not fit"));
    expect(lines(64e9)).toEqual([]);
    const tight = lines(100e6);
    expect(tight[0]).toMatch(
      /^distributions mistral will not fit: it needs about \d+ MB of memory, 100 MB are available\.$/,
    );
    expect(tight.some((line) => line.startsWith("fuse qwen2 will not fit: "))).toBe(true);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
