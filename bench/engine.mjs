/**
 * The embedded engine beside PyTorch: a training step (forward, backward, clipping, AdamW; every position a row with a
 * label and a sparse target of ten ids) and a teacher pass (forward, top ten and the label's log-probability).
 *
 * Every side is a process of its own on the same checkpoint, the same batch and as many threads. They take turns, and
 * ratios are taken round by round, so that a busy machine slows all of them. Both must compute the same: losses and
 * gradient norms of the first two runs are compared. Run `npx tsc` first, then
 *
 *   bench/pytorch/make-venv.sh out/pytorch
 *   node bench/engine.mjs [--python out/pytorch/bin/python] [--size small,larger,smollm2-135m] [--pass training,teacher]
 *     [--rounds 9] [--threads 2] [--quick]
 *
 * Without --python the engine runs alone.
 */
import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { writeSafetensors } from "../dist/formats/safetensors.js";
import { createRandom } from "../dist/random.js";
import { operations, productTimer } from "./products.mjs";
import { randomModel, SIZES } from "./random-model.mjs";
import { median, print, randomIds } from "./rounds.mjs";

/**
 * What all sides are given. `variant` is PyTorch's: as it is, or through its compiler.
 * @typedef {{ folder: string, batch: string, pass: "training" | "teacher", threads: number, topK: number,
 *   lambda: number, learningRate: number, variant?: "eager" | "compiled" }} Job
 * @typedef {{ milliseconds: number, peak: number, check: Record<string, number> }} Run
 * @typedef {{ name: string, run: () => Promise<Run>, runs: Run[], end: () => void }} Side
 */

/** Sequences and positions of a batch; where it is not listed, as the first. */
const BATCHES = { small: [8, 256], "smollm2-135m": [2, 512] };
const QUICK = { hidden: 64, layers: 2, heads: 4, keyValueHeads: 2, intermediate: 96, vocabulary: 300 };
const WIDTH = 10;
/** Largest relative difference between the sides' losses and gradient norms. */
const TOLERANCE = 1e-4;
/** PyTorch's threads spin for a while after their work: the next side waits for them to stop. */
const PAUSE = 100;

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "small,larger,smollm2-135m" },
    pass: { type: "string", default: "training,teacher" },
    rounds: { type: "string", default: "9" },
    threads: { type: "string", default: `${availableParallelism()}` },
    python: { type: "string" },
    quick: { type: "boolean", default: false },
  },
});
const threads = Number(values.threads);
const rounds = values.quick ? 1 : Number(values.rounds);

for (const name of values.quick ? ["quick"] : values.size.split(",")) {
  const size = values.quick ? QUICK : SIZES[name];
  if (size === undefined) throw new Error(`--size is a list of ${Object.keys(SIZES).join(", ")}; found ${name}`);
  const [sequences, length] = values.quick ? [2, 16] : (BATCHES[name] ?? BATCHES.small);
  const folder = await randomModel(size);
  try {
    const batch = join(folder, "batch.safetensors");
    await writeBatch(batch, size.vocabulary, sequences, length);
    for (const pass of values.pass.split(",")) {
      console.log(`\n${name}, ${pass}: ${sequences} x ${length} positions, ${threads} threads, ${rounds} rounds`);
      const work = operations(size, { sequences, length, rows: sequences * length, training: pass === "training" });
      await compare({ folder, batch, pass, threads, topK: WIDTH, lambda: 0.9, learningRate: 1e-4 }, work);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Runs all sides of a job and prints what came out.
 * @param {Job} job
 * @param {number} work operations of the necessary products
 */
async function compare(job, work) {
  const sides = [side("this engine", process.execPath, [resolve(import.meta.dirname, "embedded.mjs")], job)];
  if (values.python !== undefined) {
    const peer = [resolve(import.meta.dirname, "pytorch/peer.py")];
    for (const variant of /** @type {const} */ (["eager", "compiled"])) {
      sides.push(side(`PyTorch, ${variant}`, values.python, peer, { ...job, variant }));
    }
  }
  const products = [];
  try {
    // Two runs that do not count: programs are built and memory is touched.
    for (const { run } of [...sides, ...sides]) await run();
    for (const other of sides.slice(1)) agree(sides[0], other);
    const timeProduct = await productTimer(job.threads);
    await timeProduct();
    for (let round = 0; round < rounds; round++) {
      for (const { run } of sides) await run();
      products.push(await timeProduct());
    }
  } finally {
    for (const { end } of sides) end();
  }
  report(sides, products, work);
}

/** @param {Side[]} sides @param {number[]} products GFLOPS @param {number} work */
function report(sides, products, work) {
  const [own, ...peers] = sides.map(({ name, runs }) => {
    const times = runs.slice(2).map(({ milliseconds }) => milliseconds);
    return { name, times, peak: runs.at(-1)?.peak ?? 0 };
  });
  /** @type {Record<string, string>} */
  const figures = {};
  for (const { name, times, peak } of [own, ...peers]) {
    const range = `${Math.min(...times).toFixed(0)} to ${Math.max(...times).toFixed(0)}`;
    figures[name] = `${median(times).toFixed(0)} ms (${range}), peak ${peak.toFixed(0)} MB`;
  }
  const share = own.times.map((time, round) => work / time / 1e6 / products[round]);
  const speed = work / median(own.times) / 1e6;
  figures.products =
    `${speed.toFixed(0)} GFLOPS, ${(100 * median(share)).toFixed(0)} % of the ` +
    `${median(products).toFixed(0)} of one large product`;
  if (peers.length > 0) {
    const best = peers.reduce((a, b) => (median(b.times) < median(a.times) ? b : a));
    const ratios = own.times.map((time, round) => best.times[round] / time);
    const range = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
    figures.speed = `${median(ratios).toFixed(2)} times that of ${best.name} (${range})`;
    const least = Math.min(...peers.map(({ peak }) => peak));
    figures.memory = `${(own.peak / least).toFixed(2)} times PyTorch's least`;
  }
  print(figures);
}

/**
 * Compares what the first two runs computed.
 * @param {Side} own
 * @param {Side} other
 */
function agree(own, other) {
  let largest = 0;
  own.runs.forEach(({ check }, index) => {
    for (const [name, value] of Object.entries(check)) {
      const difference = Math.abs(other.runs[index].check[name] / value - 1);
      if (!(difference <= TOLERANCE)) {
        throw new Error(`${other.name}: ${name} of run ${index + 1} is ${other.runs[index].check[name]}, not ${value}`);
      }
      largest = Math.max(largest, difference);
    }
  });
  const names = Object.keys(own.runs[0].check).join(", ");
  console.log(`${other.name} agrees: ${names} within ${largest.toExponential(0)}`);
}

/**
 * A process that runs once for every line it is sent.
 * @param {string} name
 * @param {string} command
 * @param {string[]} parameters
 * @param {Job} job
 * @returns {Side}
 */
function side(name, command, parameters, job) {
  const child = spawn(command, [...parameters, JSON.stringify(job)], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  /** @type {Run[]} */
  const runs = [];
  const failed = new Promise((_, reject) => child.on("error", reject));
  return {
    name,
    runs,
    run: async () => {
      child.stdin.write("\n");
      const { value, done } = await Promise.race([lines.next(), failed]);
      if (done) throw new Error(`${name} stopped before it answered`);
      runs.push(JSON.parse(value));
      await new Promise((done) => setTimeout(done, values.quick ? 0 : PAUSE));
      return runs.at(-1);
    },
    end: () => child.stdin.end(),
  };
}

/**
 * Ids [sequences, length + 1], and for every row a target whose probabilities halve from place to place.
 * @param {string} path
 * @param {number} vocabulary
 * @param {number} sequences
 * @param {number} length
 */
async function writeBatch(path, vocabulary, sequences, length) {
  const random = createRandom("bench/engine");
  const rows = sequences * length;
  const integers = (/** @type {number[]} */ shape) => {
    const data = randomIds(random, shape[0] * shape[1], vocabulary);
    return { dtype: /** @type {const} */ ("I32"), shape, data };
  };
  const probabilities = Float32Array.from({ length: rows * WIDTH }, (_, index) => 0.5 ** ((index % WIDTH) + 1));
  await writeSafetensors(
    path,
    new Map([
      ["ids", integers([sequences, length + 1])],
      ["target_id", integers([rows, WIDTH])],
      ["target_probability", { dtype: /** @type {const} */ ("F32"), shape: [rows, WIDTH], data: probabilities }],
    ]),
  );
}
