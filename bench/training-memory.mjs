/**
 * The peak memory of training, stated before and measured after: one process a shape takes two optimiser steps over
 * random text whose every position is a row with a target of width 10.
 *
 *   node bench/training-memory.mjs [--only smollm2-135m] [--threads 2]
 *
 * The published shapes need up to 13 GB and some minutes.
 */
import { spawnSync } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ADAMW } from "../dist/engine/engine.js";
import { createOnnxEngine } from "../dist/engine/onnx/index.js";
import { fullBatch, PROCESS_BYTES, positionBudget, trainingBytes } from "../dist/engine/onnx/memory.js";
import { openModel } from "../dist/models/index.js";
import { createRandom } from "../dist/random.js";
import { randomModel, SIZES } from "./random-model.mjs";
import { randomIds } from "./rounds.mjs";

const WIDTH = 10;
const LABORATORY = { hidden: 128, layers: 4, heads: 4, keyValueHeads: 2, intermediate: 352, vocabulary: 1024 };

/** Sequences of `length` tokens in a step, in `batches` micro-batches. */
const CASES = [
  { name: "laboratory", size: LABORATORY, length: 256, sequences: 16, batches: 2 },
  { name: "small", size: SIZES.small, length: 1024, sequences: 2, batches: 1 },
  { name: "larger", size: SIZES.larger, length: 1024, sequences: 2, batches: 1 },
  { name: "larger", size: SIZES.larger, length: 256, sequences: 16, batches: 2 },
  { name: "smollm2-135m", size: SIZES["smollm2-135m"], length: 1024, sequences: 1, batches: 1 },
  { name: "qwen2.5-0.5b", size: SIZES["qwen2.5-0.5b"], length: 512, sequences: 1, batches: 1 },
  { name: "qwen2.5-0.5b", size: SIZES["qwen2.5-0.5b"], length: 512, sequences: 2, batches: 2 },
];

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    threads: { type: "string", default: "2" },
    measure: { type: "string" },
    length: { type: "string" },
    sequences: { type: "string" },
  },
});
if (values.measure !== undefined) {
  console.log(await measure(values.measure, Number(values.length), Number(values.sequences)));
} else {
  console.log("shape          tokens a micro-batch  micro-batches a step   stated  measured  ratio");
  for (const one of CASES) if (values.only === undefined || values.only === one.name) await compare(one);
}

async function compare({ name, size, length, sequences, batches }) {
  const folder = await randomModel(size);
  try {
    const model = await openModel(folder);
    const stated =
      PROCESS_BYTES +
      trainingBytes(model, {
        shapes: [fullBatch(length, positionBudget(model))],
        severalBatches: batches > 1,
      });
    const child = spawnSync(
      process.execPath,
      [import.meta.filename, "--measure", folder, "--length", length, "--sequences", sequences]
        .map(String)
        .concat("--threads", values.threads),
      { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" },
    );
    if (child.status !== 0) throw new Error(`measuring ${name} ended with ${child.status ?? child.signal}`);
    const measured = Number(child.stdout);
    const tokens = (length * sequences) / batches;
    console.log(
      `${name.padEnd(13)}${String(tokens).padStart(22)}${String(batches).padStart(22)}` +
        `${gigabytes(stated)}${gigabytes(measured)}${(stated / measured).toFixed(2).padStart(7)}`,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Peak resident bytes of this process after two steps. */
async function measure(folder, length, sequences) {
  const { vocab_size: vocabulary } = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
  const random = createRandom("training-memory");
  const batch = Array.from({ length: sequences }, () => ({
    ids: randomIds(random, length + 1, vocabulary),
    positions: Int32Array.from({ length }, (_, index) => index + 1),
    targetId: randomIds(random, length * WIDTH, vocabulary),
    targetProbability: new Float32Array(length * WIDTH).fill(0.09),
    tailProbability: null,
  }));
  const engine = await createOnnxEngine({ threads: Number(values.threads) });
  const trainer = await engine.train(folder, ADAMW);
  for (let step = 0; step < 2; step++) await trainer.step({ sequences: batch, lambda: 0.9, learningRate: 1e-4 });
  const peak = 1024 * process.resourceUsage().maxRSS;
  await engine.dispose();
  return peak;
}

function gigabytes(bytes) {
  return `${(bytes / 1e9).toFixed(2)} GB`.padStart(10);
}
