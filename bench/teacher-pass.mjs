/**
 * A teacher pass of the embedded engine: forward and top-10 for every position. Run `npx tsc` first, then
 * `node bench/teacher-pass.mjs --size small`.
 */
import { rm } from "node:fs/promises";
import { createOnnxEngine } from "../dist/engine/onnx/index.js";
import { createRandom } from "../dist/random.js";
import { operations, productTimer } from "./products.mjs";
import { randomModel } from "./random-model.mjs";
import { flags, median, peakMegabytes, print, randomIds } from "./rounds.mjs";

const { name, size, rounds, length, sequences, threads } = flags();
const random = createRandom("teacher-pass");
const batch = Array.from({ length: sequences }, () => ({
  ids: randomIds(random, length + 1, size.vocabulary),
  positions: Int32Array.from({ length }, (_, index) => index + 1),
}));

const folder = await randomModel(size);
const engine = await createOnnxEngine({ threads });
try {
  const model = await engine.open(folder);
  const pass = async () => {
    const start = performance.now();
    await model.rows(batch, 10);
    return performance.now() - start;
  };
  const first = await pass();
  await pass();
  const memory = peakMegabytes();
  const rows = sequences * length;
  const work = operations(size, { sequences, length, rows, training: false });
  const timeProduct = await productTimer(threads);
  await timeProduct();
  /** @type {{ pass: number, product: number }[]} */
  const times = [];
  for (let round = 0; round < rounds; round++) times.push({ pass: await pass(), product: await timeProduct() });
  const milliseconds = median(times.map((time) => time.pass));
  const speed = work / milliseconds / 1e6;
  const peak = median(times.map((time) => time.product));
  print({
    size: `${name}, ${sequences} x ${length} positions, ${threads} threads, median of ${rounds}`,
    "first pass": `${first.toFixed(0)} ms (programs built)`,
    pass: `${milliseconds.toFixed(0)} ms, ${((1000 * rows) / milliseconds).toFixed(0)} rows/s`,
    products: `${speed.toFixed(0)} GFLOPS, ${((100 * speed) / peak).toFixed(0)} % of the ${peak.toFixed(0)} of one large product`,
    "peak memory": `${memory.toFixed(0)} MB`,
  });
} finally {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
}
