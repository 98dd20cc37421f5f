/**
 * Merging of random bfloat16 checkpoints, Llama-shaped, by every method with its usual settings, beside the time that
 * merely reading all inputs and writing as many bytes as the output takes in the same run. Prints GB/s (inputs and
 * output together), nanoseconds an entry of the output, and the peak memory of the process.
 *
 *   node bench/merge.mjs [--parameters 60] [--models 5] [--rms 1e-3] [--only ties,linear]
 *
 * Parameters in millions. Methods between two models, or of one model on a base, get as many.
 */
import { mkdir, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openSafetensorsWriter } from "../dist/formats/safetensors.js";
import { mergeModels } from "../dist/merge/merge.js";
import { METHODS } from "../dist/merge/methods/index.js";
import { createRandom } from "../dist/random.js";

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
const shapes = shapesOf(values.quick ? 0 : Number(values.parameters) * 1e6);
const entries = shapes.reduce((total, { shape }) => total + product(shape), 0);
const names = ["base", ...Array.from({ length: MODELS }, (_, j) => `model-${j + 1}`)];

const folder = await mkdtemp(join(tmpdir(), "fusechat-bench-merge-"));
try {
  for (const [j, name] of names.entries()) await writeModel(join(folder, name), j);
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
    const base = { origin: "base", optional: "base", first: "model-1" }[method.base];
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

/** A Llama of about so many parameters: 12 layers, vocabulary 32,000, the hidden size that fits. */
function shapesOf(parameters) {
  const layers = 12;
  let hidden = 64;
  while (layers * 12 * (hidden + 64) ** 2 + 2 * 32000 * (hidden + 64) <= parameters) hidden += 64;
  const list = [{ name: "model.embed_tokens.weight", shape: [32000, hidden] }];
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}`;
    for (const matrix of ["q", "k", "v", "o"]) {
      list.push({ name: `${prefix}.self_attn.${matrix}_proj.weight`, shape: [hidden, hidden] });
    }
    const wide = Math.round((hidden * 8) / 3 / 64) * 64;
    list.push({ name: `${prefix}.mlp.gate_proj.weight`, shape: [wide, hidden] });
    list.push({ name: `${prefix}.mlp.up_proj.weight`, shape: [wide, hidden] });
    list.push({ name: `${prefix}.mlp.down_proj.weight`, shape: [hidden, wide] });
    list.push({ name: `${prefix}.input_layernorm.weight`, shape: [hidden] });
    list.push({ name: `${prefix}.post_attention_layernorm.weight`, shape: [hidden] });
  }
  list.push({ name: "model.norm.weight", shape: [hidden] }, { name: "lm_head.weight", shape: [32000, hidden] });
  return list;
}

/** Weights of rms 0.02 (a pool of normal deviates, from another place in each tensor) and updates of rms RMS. */
async function writeModel(path, model) {
  await mkdir(path);
  await writeFile(join(path, "config.json"), JSON.stringify({ model_type: "llama", torch_dtype: "bfloat16" }));
  const random = createRandom(`bench merge ${model}`);
  const pool = normals("bench merge base");
  const updates = normals(`bench merge updates ${model}`);
  const writer = await openSafetensorsWriter(
    join(path, "model.safetensors"),
    shapes.map((shape) => ({ ...shape, dtype: "BF16" })),
    {},
  );
  for (const { shape, name } of shapes) {
    const offset = name.length * 7919;
    const other = random.integer(pool.length);
    const scale = model === 0 ? 0 : RMS;
    const values = new Float32Array(product(shape));
    const bits = new Uint32Array(values.buffer);
    const rounded = new Uint16Array(values.length);
    for (let i = 0; i < values.length; i++) {
      values[i] = 0.02 * pool[(offset + i) % pool.length] + scale * updates[(other + i * 3) % updates.length];
      rounded[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16;
    }
    await writer.write(new Uint8Array(rounded.buffer));
  }
  await writer.commit();
}

function normals(seed) {
  const random = createRandom(seed);
  return Float32Array.from({ length: 1000003 }, () => random.normal());
}

function product(shape) {
  return shape.reduce((total, extent) => total * extent, 1);
}
