/**
 * Merging of random bfloat16 checkpoints, Llama-shaped, by every method with its usual settings, beside the time that
 * merely reading all inputs and writing as many bytes as the output takes in the same run. Prints GB/s (inputs and
 * output together), nanoseconds an entry of the output, and the peak memory of the process. For whole commands, and
 * beside mergekit, see merge.mjs.
 *
 *   node bench/merge-methods.mjs [--parameters 60] [--models 5] [--rms 1e-3] [--only ties,linear]
 *
 * Parameters in millions. Methods between two models, or of one model on a base, get as many.
 */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { mergeModels } from "../dist/merge/merge.js";
import { METHODS } from "../dist/merge/methods/index.js";
import { product, tensorsOf, writeCheckpoints } from "./merge-checkpoints.mjs";

const { values } = parseArgs({
  options: {
    parameters: { type: "string", default: "60" },
    models: { type: "string", default: "5" },
    rms: { type: "string", default: "1e-3" },
    only: { type: "string" },
    quick: { type: "boolean", default: false },
  },
});
const MODELS = values.quick ? 2 : Number(values.models);
const RMS = Number(values.rms);
const size = sizeOf(values.quick ? 0 : Number(values.parameters) * 1e6);
const entries = entriesOf(size);

/** @type {readonly string[]} */
let names = [];
const folder = await mkdtemp(join(tmpdir(), "fusechat-bench-merge-"));
try {
  names = await writeCheckpoints(folder, size, { models: MODELS, rms: RMS });
  console.log(`${MODELS} models and a base of ${(entries / 1e6).toFixed(1)} M parameters, updates of rms ${RMS}`);
  // Twice: the first reading also warms the file cache for all that follow.
  await readAndWrite();
  const copy = await readAndWrite();
  const bytes = 2 * entries * (names.length + 1);
  report("read inputs, write output", copy, bytes);
  for (const [name, config] of Object.entries(configs())) {
    if (values.only !== undefined && !values.only.split(",").includes(name)) continue;
    const out = join(folder, "out");
    let merged;
    const seconds = await time(async () => {
      merged = await mergeModels(config, { out, baseFolder: folder }, { reporter: { report() {} } });
    });
    await rm(out, { recursive: true });
    report(name, seconds, merged.bytes_read + merged.bytes_written, copy);
  }
  console.log(`peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`);
} finally {
  await rm(folder, { recursive: true });
}

/** Every method, by the name it is printed under. */
function configs() {
  const all = names.slice(1).map((model) => ({ model }));
  const variants = ["fusechat", "paper", "mergekit"];
  const parameters = {
    linear: { weight: 1 },
    slerp: { t: 0.4 },
    nuslerp: { weight: 1 },
    multislerp: { weight: 1 },
    task_arithmetic: { weight: 0.3 },
    ties: { weight: 0.2, density: 0.6 },
    dare_linear: { weight: 0.2, density: 0.6 },
    dare_ties: { weight: 0.2, density: 0.6 },
    della: { weight: 0.2, density: 0.6 },
    della_linear: { weight: 0.2, density: 0.6 },
    breadcrumbs: { weight: 0.2, density: 0.6 },
    breadcrumbs_ties: { weight: 0.2, density: 0.6 },
    nearswap: { t: 1e-3 },
  };
  const entries = METHODS.flatMap((method) => {
    const { least = 1, most = all.length } = method.inputs ?? {};
    const models = all.slice(0, Math.max(least, Math.min(most, all.length)));
    const base = { origin: "base", optional: "base", first: "t1" }[method.base];
    const config = { merge_method: method.name, models, base_model: base, parameters: parameters[method.name] };
    if (method.name !== "sce") return [[method.name, config]];
    return variants.map((variant) => [`sce ${variant}`, { ...config, parameters: { select_topk: 0.1, variant } }]);
  });
  return Object.fromEntries(entries);
}

function report(name, { clock, cpu }, bytes, copy) {
  const parts = [
    name.padEnd(26),
    `${clock.toFixed(2)} s`,
    `${(bytes / clock / 1e9).toFixed(2)} GB/s`,
    `${((clock / entries) * 1e9).toFixed(1)} ns an entry (processor ${((cpu / entries) * 1e9).toFixed(1)})`,
  ];
  if (copy !== undefined) parts.push(`${((copy.clock / clock) * 100).toFixed(0)} % of the files' speed`);
  console.log(parts.join("  "));
}

/** What a merge cannot do without: every input byte once, and the output's, flushed. */
async function readAndWrite() {
  return time(async () => {
    const chunk = new Uint8Array(1 << 22);
    for (const name of names) {
      const handle = await open(join(folder, name, "model.safetensors"));
      for (;;) {
        const { bytesRead } = await handle.read(chunk, 0, chunk.length);
        if (bytesRead === 0) break;
      }
      await handle.close();
    }
    const handle = await open(join(folder, "copy"), "w");
    for (let done = 0; done < 2 * entries; done += chunk.length) {
      await handle.write(chunk, 0, Math.min(chunk.length, 2 * entries - done));
    }
    await handle.sync();
    await handle.close();
    await rm(join(folder, "copy"));
  });
}

/** Seconds on the clock and of the processor: on a busy machine only the latter says what the work costs. */
async function time(work) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { clock: (performance.now() - start) / 1000, cpu: (user + system) / 1e6 };
}

/** A Llama of about so many parameters: 12 layers, vocabulary 32,000, the hidden size that fits. @param {number} parameters */
function sizeOf(parameters) {
  const shaped = (/** @type {number} */ hidden) => {
    const intermediate = Math.round((hidden * 8) / 3 / 64) * 64;
    return { hidden, layers: 12, heads: hidden / 64, intermediate, vocabulary: 32000 };
  };
  let hidden = 64;
  while (entriesOf(shaped(hidden + 64)) <= parameters) hidden += 64;
  return shaped(hidden);
}

/** @param {import("./random-model.mjs").Size} shaped */
function entriesOf(shaped) {
  return tensorsOf(shaped).reduce((total, { shape }) => total + product(shape), 0);
}
