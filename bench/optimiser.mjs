/**
 * What an optimiser step costs besides the runtime: adding a micro-batch's gradients to the sums, the norm, AdamW. The
 * plain loops that define the results, the same in vectors on one thread and on more, and PyTorch's fused AdamW with
 * its clipping, in turns over the tensors of a published shape.
 *
 *   node bench/optimiser.mjs [--size smollm2-135m] [--threads 2] [--rounds 7] [--python out/pytorch/bin/python] [--quick]
 *
 * Wall time and processor time of all threads, ns a parameter; the least of the rounds beside the median, for a busy
 * machine only ever adds.
 */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { ADAMW } from "../dist/engine/engine.js";
import { PLAIN_KERNELS, updateOf } from "../dist/engine/onnx/optimiser/adamw.js";
import { openOptimiser } from "../dist/engine/onnx/optimiser/optimiser.js";
import { createRandom } from "../dist/random.js";
import { SIZES } from "./random-model.mjs";
import { median, print } from "./rounds.mjs";

const QUICK = { hidden: 64, layers: 2, heads: 4, intermediate: 96, vocabulary: 300 };

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "smollm2-135m" },
    threads: { type: "string", default: `${availableParallelism()}` },
    rounds: { type: "string", default: "7" },
    python: { type: "string" },
    quick: { type: "boolean", default: false },
  },
});
const size = values.quick ? QUICK : SIZES[values.size];
if (size === undefined) throw new Error(`--size is one of ${Object.keys(SIZES).join(", ")}; found ${values.size}`);
const rounds = values.quick ? 1 : Number(values.rounds);
const threads = Number(values.threads);

const tensors = tensorsOf(size);
const parameters = tensors.reduce((sum, { length }) => sum + length, 0);
const random = createRandom("bench/optimiser");
const pattern = Float32Array.from({ length: 10_007 }, () => 0.02 * random.normal());
const state = new Map(
  tensors.map(({ name, length }) => [
    name,
    { weight: filled(length), mean: new Float32Array(length), square: new Float32Array(length), decays: true },
  ]),
);
let step = 0;

/**
 * Milliseconds of wall and of processor time; the rest is the norm and the update.
 * @typedef {{ add: number, addProcessor: number, rest: number, restProcessor: number }} Times
 */
/** @type {Record<string, { run: () => Promise<Times>, end: () => Promise<void>, runs: Times[] }>} */
const sides = { "plain loops": { run: plainly, end: async () => {}, runs: [] } };
for (const count of new Set([1, threads])) {
  const optimiser = openOptimiser(tensors, "embedding", count);
  const name = `vectors, ${count} thread${count === 1 ? "" : "s"}`;
  sides[name] = { run: () => inVectors(optimiser), end: () => optimiser.dispose(), runs: [] };
}
if (values.python !== undefined) sides["PyTorch, fused"] = { ...peer(values.python), runs: [] };

for (let round = -1; round < rounds; round++) {
  for (const side of Object.values(sides)) {
    const times = await side.run();
    if (round >= 0) side.runs.push(times);
  }
}
for (const { end } of Object.values(sides)) await end();

console.log(`${(parameters / 1e6).toFixed(1)} million parameters, ns each, wall: median (least)`);
const reference = sides["plain loops"].runs;
print(
  Object.fromEntries(
    Object.entries(sides).map(([name, { runs }]) => {
      const figures = (/** @type {"add" | "rest"} */ part) => {
        const ratio = median(runs.map((times, round) => reference[round][part] / times[part]));
        const processor = each(runs.map((times) => times[`${part}Processor`]));
        return `${each(runs.map((times) => times[part]))}, processor ${processor}, speed x ${ratio.toFixed(2)}`;
      };
      return [name, `norm and update ${figures("rest")}; adding ${figures("add")}`];
    }),
  ),
);

/** @param {number[]} times milliseconds */
function each(times) {
  const nanoseconds = (/** @type {number} */ time) => ((1e6 * time) / parameters).toFixed(2);
  return `${nanoseconds(median(times))} (${nanoseconds(Math.min(...times))})`;
}

/** @param {import("./random-model.mjs").Size} size */
function tensorsOf({ hidden, layers, heads, keyValueHeads = heads, intermediate, vocabulary }) {
  const narrow = (hidden * hidden * keyValueHeads) / heads;
  const layer = [hidden, hidden * hidden, narrow, narrow, hidden * hidden, hidden];
  layer.push(...Array.from({ length: 3 }, () => hidden * intermediate));
  return [
    { name: "embedding", length: vocabulary * hidden },
    ...Array.from({ length: layers }, (_, l) =>
      layer.map((length, index) => ({ name: `${l}.${index}`, length })),
    ).flat(),
    { name: "norm", length: hidden },
  ];
}

/** @param {number} length */
function filled(length) {
  const array = new Float32Array(length);
  for (let first = 0; first < length; first += pattern.length) {
    array.set(pattern.subarray(0, Math.min(pattern.length, length - first)), first);
  }
  return array;
}

function gradients() {
  return new Map(tensors.map(({ name, length }) => [name, filled(length)]));
}

function noRows() {
  return { ids: Int32Array.of(0), rows: new Float32Array(size.hidden) };
}

async function plainly() {
  const [sums, added] = [gradients(), gradients()];
  return timed(
    async () => {
      for (const [name, sum] of sums) PLAIN_KERNELS.addTo(sum, added.get(name));
    },
    async () => {
      let total = 0;
      for (const sum of sums.values()) total += PLAIN_KERNELS.sumOfSquares(sum);
      const update = updateOf(++step, 1e-5, 1 / Math.sqrt(total), ADAMW);
      for (const [name, sum] of sums) PLAIN_KERNELS.update(state.get(name), sum, update);
    },
  );
}

/** @param {import("../dist/engine/onnx/optimiser/optimiser.js").Optimiser} optimiser */
async function inVectors(optimiser) {
  await optimiser.add(gradients(), noRows());
  const added = gradients();
  return timed(
    () => optimiser.add(added, noRows()),
    async () => {
      const norm = await optimiser.norm();
      await optimiser.update(state, updateOf(++step, 1e-5, 1 / norm, ADAMW));
    },
  );
}

/**
 * @param {() => Promise<void>} add
 * @param {() => Promise<void>} update
 * @returns {Promise<Times>}
 */
async function timed(add, update) {
  const [addTime, addProcessor] = await timesOf(add);
  const [rest, restProcessor] = await timesOf(update);
  return { add: addTime, addProcessor, rest, restProcessor };
}

/** @param {() => Promise<void>} work */
async function timesOf(work) {
  const processor = process.cpuUsage();
  const start = performance.now();
  await work();
  const { user, system } = process.cpuUsage(processor);
  return [performance.now() - start, (user + system) / 1e3];
}

/** @param {string} python */
function peer(python) {
  const job = JSON.stringify({ lengths: tensors.map(({ length }) => length), threads });
  const child = spawn(python, [resolve(import.meta.dirname, "pytorch/optimiser.py"), job], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    run: async () => {
      child.stdin.write("\n");
      const { value, done } = await lines.next();
      if (done) throw new Error("PyTorch stopped before it answered");
      return JSON.parse(value);
    },
    end: async () => void child.stdin.end(),
  };
}
