import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Engine } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { LAB_MODELS, type LabModel } from "#src/lab/models/index.js";
import { trainLabModel } from "#src/lab/train.js";
import { type Reporter, silent } from "#src/reporter.js";

/** The pivot in miniature: everything but its size is real. */
const model: LabModel = {
  ...LAB_MODELS[0]!,
  name: "tiny",
  config: {
    ...LAB_MODELS[0]!.config,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
  },
};
const options = { steps: 7, batch: 4, checkpointSteps: 2 };

let engine: Engine;
let folder = "";
beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 1 });
  folder = await mkdtemp(join(tmpdir(), "fusechat-lab-train-"));
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

async function filesOf(out: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const name of (await readdir(join(out, "tiny"))).sort()) {
    files.set(name, (await readFile(join(out, "tiny", name))).toString("base64"));
  }
  return files;
}

/** Stands for a kill: the training ends in the middle of this step, without a checkpoint of it. */
function failingAt(step: number): Reporter {
  return {
    report: (event) => {
      if (event.type === "progress" && event.done === step) throw new Error("killed");
    },
  };
}

test("a training that was killed continues from its last checkpoint to the same bytes", async () => {
  const whole = join(folder, "whole");
  await trainLabModel(model, { out: whole, ...options }, { engine, reporter: silent });
  const killed = join(folder, "killed");
  await expect(trainLabModel(model, { out: killed, ...options }, { engine, reporter: failingAt(5) })).rejects.toThrow(
    "killed",
  );
  expect(await readdir(join(killed, "tiny"))).toEqual([".training"]);
  const resumed: number[] = [];
  const watching: Reporter = {
    report: (event) => {
      if (event.type === "progress") resumed.push(event.done);
    },
  };
  await trainLabModel(model, { out: killed, ...options }, { engine, reporter: watching });
  expect(resumed).toEqual([5, 6, 7]);
  expect(await filesOf(killed)).toEqual(await filesOf(whole));
});

test("Ctrl-C keeps the step in hand and says how to continue", async () => {
  const out = join(folder, "interrupted");
  const controller = new AbortController();
  const reporter: Reporter = {
    report: (event) => {
      if (event.type === "progress" && event.done === 3) controller.abort();
    },
  };
  await expect(
    trainLabModel(model, { out, ...options }, { engine, reporter, signal: controller.signal }),
  ).rejects.toThrow("lab train tiny: interrupted; run the same command again to continue");
  await trainLabModel(model, { out, ...options }, { engine, reporter: silent });
  expect(await filesOf(out)).toEqual(await filesOf(join(folder, "whole")));
});

test("a finished model is left alone, and other settings in its folder are refused by name", async () => {
  const out = join(folder, "whole");
  const again = await trainLabModel(model, { out, ...options }, { engine, reporter: silent });
  expect(again.skipped).toBe(true);
  await expect(trainLabModel(model, { out, ...options, steps: 8 }, { engine, reporter: silent })).rejects.toThrow(
    `${join(out, "tiny", "training.json")}: belongs to a training with another "steps"; choose another folder or remove this one`,
  );
});
