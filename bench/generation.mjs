/**
 * Generation of the embedded engine: tokens a second with the key-value cache for one sequence and for a batch, against
 * the same without a cache (the whole sequence read again for each token), and against what memory allows: a token of
 * one sequence reads every weight once. Run `npx tsc` first, then
 * `node bench/generation.mjs --size small --prompt 64 --tokens 128 --batch 16`.
 */
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { createOnnxEngine } from "../dist/engine/onnx/index.js";
import { openModel } from "../dist/models/index.js";
import { createRandom } from "../dist/random.js";

import { randomModel, SIZES } from "./random-model.mjs";
import { readTimer } from "./reading.mjs";
import { median, peakMegabytes, print, randomIds } from "./rounds.mjs";

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "small" },
    prompt: { type: "string", default: "64" },
    tokens: { type: "string", default: "128" },
    batch: { type: "string", default: "16" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: `${availableParallelism()}` },
  },
});
const size = SIZES[values.size];
if (size === undefined) throw new Error(`--size is one of ${Object.keys(SIZES).join(", ")}`);
const [promptLength, tokens, batch, rounds, threads] = ["prompt", "tokens", "batch", "rounds", "threads"].map((name) =>
  Number(values[/** @type {keyof typeof values} */ (name)]),
);

const random = createRandom("generation");
const prompts = Array.from({ length: batch }, () => randomIds(random, promptLength, size.vocabulary));
const greedy = { maxTokens: tokens, stopIds: [], temperature: 0, topP: 1, topK: 0, seed: "bench" };

const folder = await randomModel(size);
const engine = await createOnnxEngine({ threads });
try {
  const { parameters } = await openModel(folder);
  const model = await engine.open(folder);
  /** @param {number} count @param {typeof greedy} options */
  const cached = async (count, options) => {
    let first = 0;
    const start = performance.now();
    await model.generate(prompts.slice(0, count), options, () => {
      first ||= performance.now() - start;
    });
    // The prompt is the first token's; the others are steps.
    return { first, step: (performance.now() - start - first) / (tokens - 1) };
  };
  // The sequence as long as it is half way through the answer stands for all of them.
  const halfway = randomIds(random, promptLength + tokens / 2, size.vocabulary);
  const uncached = async () => {
    const start = performance.now();
    await model.logits(halfway);
    return performance.now() - start;
  };
  const sampled = { ...greedy, temperature: 0.7, topP: 0.95 };
  await cached(1, greedy);
  await cached(batch, greedy);
  await cached(1, sampled);
  await uncached();
  const memory = peakMegabytes();
  const timeRead = await readTimer(4 * parameters, threads);
  /** @type {{ one: { first: number, step: number }, sampled: number, many: number, uncached: number, read: number }[]} */
  const times = [];
  for (let round = 0; round < rounds; round++) {
    times.push({
      one: await cached(1, greedy),
      sampled: (await cached(1, sampled)).step,
      many: (await cached(batch, greedy)).step,
      uncached: await uncached(),
      read: await timeRead(),
    });
  }
  const one = median(times.map((time) => time.one.step));
  const read = median(times.map((time) => time.read));
  const slow = median(times.map((time) => time.uncached));
  const many = median(times.map((time) => time.many)) / batch;
  const withSampling = median(times.map((time) => time.sampled));
  /** @param {number} milliseconds */
  const speed = (milliseconds) => `${(1000 / milliseconds).toFixed(1)} tokens/s (${milliseconds.toFixed(2)} ms)`;
  print({
    size: `${values.size}, prompt ${promptLength}, ${tokens} tokens, ${threads} threads, median of ${rounds}`,
    "first token": `${median(times.map((time) => time.one.first)).toFixed(0)} ms after the question`,
    "one sequence": `${speed(one)}, ${((100 * read) / one).toFixed(0)} % of what memory allows`,
    "one sequence, sampled": speed(withSampling),
    [`${batch} sequences`]: `${speed(many)}, ${(one / many).toFixed(1)} x one`,
    "without a cache": `${speed(slow)}, the cache is ${(slow / one).toFixed(1)} x as fast`,
    "memory allows": `${speed(read)}, ${((4 * parameters) / read / 1e6).toFixed(1)} GB/s`,
    "peak memory": `${memory.toFixed(0)} MB`,
  });
} finally {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
}
