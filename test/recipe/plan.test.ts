import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fullBatch, trainingBytes } from "#src/engine/onnx/memory.js";
import { assumedThroughput } from "#src/engine/onnx/throughput.js";
import { loadRecipe } from "#src/recipe/load.js";
import { openInputs } from "#src/recipe/open-inputs.js";
import { derivePlan } from "#src/recipe/plan.js";
import { writeRecipe } from "../run/fixtures.ts";

test("a stage states the memory of its largest micro-batch, and whether that is there", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-plan-"));
  try {
    const { recipe, where } = await loadRecipe(await writeRecipe(folder));
    const inputs = await openInputs(recipe, where);
    const plan = derivePlan(recipe, inputs, { throughput: assumedThroughput(1), availableBytes: 1e9 });
    const memory = (plan.stages.find(({ stage }) => stage.startsWith("fuse ")) ?? plan.stages[0]!).memory_bytes!;
    const [pivot] = inputs.models;
    // Sessions of the other shapes come on top of the longest conversation's.
    const longest = Math.max(...pivot!.sample.extents.map(({ length }) => length));
    const single = { shapes: [fullBatch(longest, 1)], severalBatches: false };
    expect(memory).toBeGreaterThan(190e6 + trainingBytes(pivot!.model!, single));
    expect(memory).toBeLessThan(290e6 + trainingBytes(pivot!.model!, single));
    expect(plan.total.memory_bytes).toBe(Math.max(...plan.stages.map(({ memory_bytes }) => memory_bytes ?? 0)));
    expect(plan.stages.map(({ fits }) => fits)).not.toContain(false);

    const small = derivePlan(recipe, inputs, { throughput: assumedThroughput(1), availableBytes: memory - 1 });
    expect(small.available_memory_bytes).toBe(memory - 1);
    for (const { stage, fits, memory_bytes } of small.stages)
      expect([stage, fits]).toEqual([stage, memory_bytes! < memory]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
