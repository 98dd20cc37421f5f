/**
 * A training step of the embedded engine: forward, backward, clipping and AdamW over one micro-batch whose every
 * position is a row with a target of width 10. Run `npx tsc` first, then `node bench/training-step.mjs --size small`.
 */
import { rm } from "node:fs/promises";
import { ADAMW } from "../dist/engine/engine.js";
import { createOnnxEngine } from "../dist/engine/onnx/index.js";
import { createRandom } from "../dist/random.js";
import { operations, productTimer } from "./products.mjs";
import { randomModel } from "./random-model.mjs";
import { flags, median, peakMegabytes, print, randomIds } from "./rounds.mjs";

const WIDTH = 10;
const { name, size, rounds, length, sequences, threads } = flags();
const random = createRandom("training-step");
const batch = Array.from({ length: sequences }, () => {
  const positions = Int32Array.from({ length }, (_, index) => index + 1);
  return {
    ids: randomIds(random, length + 1, size.vocabulary),
    positions,
    targetId: randomIds(random, length * WIDTH, size.vocabulary),
    targetProbability: new Float32Array(length * WIDTH).fill(0.09),
    tailProbability: null,
  };
});

const folder = await randomModel(size);
const engine = await createOnnxEngine({ threads });
try {
  const trainer = await engine.train(folder, ADAMW);
  const step = async () => {
    const start = performance.now();
    await trainer.step({ sequences: batch, lambda: 0.9, learningRate: 1e-4 });
    return performance.now() - start;
  };
  const first = await step();
  await step();
  const memory = peakMegabytes();
  const rows = sequences * length;
  const work = operations(size, { sequences, length, rows, training: true });
  const timeProduct = await productTimer(threads);
  await timeProduct();
  /** @type {{ step: number, product: number }[]} */
  const times = [];
  for (let round = 0; round < rounds; round++) times.push({ step: await step(), product: await timeProduct() });
  const milliseconds = median(times.map((time) => time.step));
  const speed = work / milliseconds / 1e6;
  const peak = median(times.map((time) => time.product));
  print({
    size: `${name}, ${sequences} x ${length} positions, ${threads} threads, median of ${rounds}`,
    "first step": `${first.toFixed(0)} ms (programs built)`,
    step: `${milliseconds.toFixed(0)} ms, ${((1000 * rows) / milliseconds).toFixed(0)} tokens/s`,
    products: `${speed.toFixed(0)} GFLOPS, ${((100 * speed) / peak).toFixed(0)} % of the ${peak.toFixed(0)} of one large product`,
    "peak memory": `${memory.toFixed(0)} MB`,
  });
} finally {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
}
