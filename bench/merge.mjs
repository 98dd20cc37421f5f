/**
 * `fusechat merge` beside mergekit: whole commands on the same checkpoints and configurations, in turns, so that a busy
 * machine slows both. Llama-shaped models in bfloat16, five and their base (slerp: one and its base). The inputs are in
 * the file cache unless --cold is given, which empties it before every run and needs the rights to. Merely reading all
 * inputs and writing as many bytes as the output, flushed, is timed in the same run: no merge can be faster. Both must
 * compute the same, as far as mergekit's arithmetic in bfloat16 allows. Run `npx tsc` first, then
 *
 *   bench/mergekit/make-venv.sh out/mergekit
 *   node bench/merge.mjs [--mergekit out/mergekit] [--size 125m,1.1b] [--only sce,ties] [--rounds 3] [--cold]
 *     [--folder DIR] [--options "--async-write"] [--quick]
 *
 * Without --mergekit fusechat runs alone. --folder keeps the checkpoints, and takes those that are there.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, open, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { openWeights } from "../dist/formats/weights.js";
import { measuredCommand } from "./measured-command.mjs";
import { product, tensorsOf, writeCheckpoints } from "./merge-checkpoints.mjs";
import { SIZES } from "./random-model.mjs";
import { median, print } from "./rounds.mjs";

const MODEL_SIZES = {
  quick: { hidden: 64, layers: 2, heads: 4, keyValueHeads: 2, intermediate: 96, vocabulary: 300 },
  "125m": { hidden: 768, layers: 12, heads: 12, keyValueHeads: 4, intermediate: 2048, vocabulary: 32000 },
  "1.1b": SIZES["tinyllama-1.1b"],
};
const MODELS = 5;
/**
 * Largest difference of the two outputs, as a share of the update. mergekit computes in bfloat16, which costs it 10 % of
 * the update in TIES and 5 % in SCE at this size of updates; the output's own rounding is up to 10 % for the smallest.
 */
const TOLERANCE = 0.2;
/** Without them mergekit looks models up on the network for the model card, and stops. */
const OFFLINE = ["--no-write-model-card", "--quiet"];

const { values } = parseArgs({
  options: {
    mergekit: { type: "string" },
    size: { type: "string", default: "125m" },
    only: { type: "string" },
    rounds: { type: "string", default: "3" },
    cold: { type: "boolean", default: false },
    folder: { type: "string" },
    options: { type: "string", default: "" },
    quick: { type: "boolean", default: false },
  },
});
/** Read or written at a time where files are merely read or written. */
const PIECE_BYTES = 2 ** 22;
const rounds = values.quick ? 1 : Number(values.rounds);
const peerOptions = values.options.split(" ").filter(Boolean);

const work = await mkdtemp(join(values.folder ?? tmpdir(), "fusechat-bench-merge-"));
try {
  for (const name of values.quick ? ["quick"] : values.size.split(",")) {
    if (!Object.hasOwn(MODEL_SIZES, name)) throw new Error(`--size is a list of 125m, 1.1b; found ${name}`);
    await compareAll(name, MODEL_SIZES[name]);
  }
} finally {
  await rm(work, { recursive: true, force: true });
}

/**
 * Every method on checkpoints of one size.
 * @param {string} name
 * @param {import("./random-model.mjs").Size} size
 */
async function compareAll(name, size) {
  const folder = join(values.folder ?? work, name);
  await checkpoints(folder, size);
  const shapes = tensorsOf(size).map(({ shape }) => product(shape));
  const largest = 2 * Math.max(...shapes);
  const million = shapes.reduce((sum, count) => sum + count, 0) / 1e6;
  const peer = values.mergekit === undefined ? "without mergekit, which --mergekit names" : "beside mergekit";
  console.log(
    `\n${name}: ${million.toFixed(0)} M parameters, largest tensor ${megabytes(largest)}, ${peer}; ` +
      `${rounds} rounds, file cache ${values.cold ? "empty" : "warm"}`,
  );
  for (const [method, configuration] of Object.entries(configurations())) {
    if (values.only !== undefined && !values.only.split(",").includes(method)) continue;
    await compare(method, configuration, folder, largest);
  }
  if (values.folder === undefined) await rm(folder, { recursive: true });
}

/** @param {string} folder @param {import("./random-model.mjs").Size} size */
async function checkpoints(folder, size) {
  const exists = await stat(folder).then(
    () => true,
    () => false,
  );
  if (exists) return;
  // Under another name until they are whole.
  const unfinished = join(work, "checkpoints");
  await mkdir(unfinished);
  await writeCheckpoints(unfinished, size, { models: MODELS });
  await rename(unfinished, folder);
}

/**
 * What both programs read, by method, and the models it names.
 * @returns {Readonly<Record<string, { text: string, models: readonly string[] }>>}
 */
function configurations() {
  const variants = Array.from({ length: MODELS }, (_, index) => `t${index + 1}`);
  const all = (/** @type {string} */ parameters = "") =>
    `models: [${variants.map((name) => `{model: ${name}${parameters}}`).join(", ")}]\n`;
  const onBase = "base_model: base\n";
  const texts = {
    sce: `${all()}${onBase}parameters: {select_topk: 0.1}\n`,
    ties: `${all(", parameters: {weight: 0.2, density: 0.6}")}${onBase}parameters: {normalize: true}\n`,
    linear: all(", parameters: {weight: 0.2}"),
    task_arithmetic: `${all(", parameters: {weight: 0.3}")}${onBase}`,
    slerp: `models: [{model: base}, {model: t1}]\n${onBase}parameters: {t: 0.4}\n`,
  };
  const entries = Object.entries(texts).map(([method, text]) => {
    const models = ["base", ...variants].filter((name) => new RegExp(`: ${name}\\b`).test(text));
    return [method, { text: `merge_method: ${method}\ndtype: bfloat16\n${text}`, models }];
  });
  return Object.fromEntries(entries);
}

/**
 * @typedef {{ name: string, command: string, parameters: readonly string[], out: string,
 *   runs: import("./measured-command.mjs").Measured[] }} Side
 */

/**
 * @param {string} method
 * @param {{ text: string, models: readonly string[] }} configuration
 * @param {string} folder of the checkpoints
 * @param {number} largest tensor in bytes
 */
async function compare(method, { text, models }, folder, largest) {
  const config = join(work, `${method}.yaml`);
  await writeFile(config, text);
  const out = (/** @type {string} */ name) => join(work, `${method}-${name}`);
  const main = resolve(import.meta.dirname, "../dist/cli/main.js");
  /** @type {Side[]} */
  const sides = [
    {
      name: "fusechat",
      command: process.execPath,
      parameters: [main, "merge", config, "--out", out("fusechat")],
      out: out("fusechat"),
      runs: [],
    },
  ];
  if (values.mergekit !== undefined) {
    sides.push({
      name: "mergekit",
      command: resolve(values.mergekit, "bin/mergekit-yaml"),
      parameters: [...OFFLINE, ...peerOptions, config, out("mergekit")],
      out: out("mergekit"),
      runs: [],
    });
  }
  const files = models.map((model) => join(folder, model, "model.safetensors"));
  for (const file of files) await readWhole(file);
  /** @type {number[]} */
  const copies = [];
  let agrees = "";
  for (let round = 0; round < rounds; round++) {
    await settle();
    copies.push(await readAndWrite(files));
    for (const { command, parameters, runs } of sides) {
      await settle();
      // Model paths are relative to the working folder.
      runs.push(await measuredCommand(command, parameters, { cwd: folder }));
    }
    if (round === 0 && sides.length > 1) agrees = await agreement(sides[0].out, sides[1].out, join(folder, "base"));
    for (const side of sides) await rm(side.out, { recursive: true });
  }
  report(method, sides, copies, largest, agrees);
}

/**
 * @param {string} method
 * @param {readonly Side[]} sides
 * @param {readonly number[]} copies seconds
 * @param {number} largest tensor in bytes
 * @param {string} agrees
 */
function report(method, [own, peer], copies, largest, agrees) {
  /** @type {Record<string, string>} */
  const figures = {};
  const figure = (/** @type {readonly number[]} */ seconds) =>
    `${median(seconds).toFixed(2)} s (${Math.min(...seconds).toFixed(2)} to ${Math.max(...seconds).toFixed(2)})`;
  const secondsOf = (/** @type {Side} */ { runs }) => runs.map(({ seconds }) => seconds);
  const processorOf = (/** @type {Side} */ { runs }) =>
    `${median(runs.map(({ processorSeconds }) => processorSeconds)).toFixed(2)} s`;
  const memoryOf = (/** @type {Side} */ { runs }) => Math.max(...runs.map(({ privateBytes }) => privateBytes));
  figures["files alone"] = figure(copies);
  const shares = secondsOf(own).map((seconds, round) => copies[round] / seconds);
  figures.fusechat =
    `${figure(secondsOf(own))}, processor ${processorOf(own)}, ` +
    `${(100 * median(shares)).toFixed(0)} % of the files' speed, ` +
    `${megabytes(memoryOf(own))} private, ${(memoryOf(own) / largest).toFixed(2)} of the largest tensor`;
  if (peer !== undefined) {
    figures.mergekit = `${figure(secondsOf(peer))}, processor ${processorOf(peer)}, ${megabytes(memoryOf(peer))} private`;
    const ratios = secondsOf(peer).map((seconds, round) => seconds / own.runs[round].seconds);
    figures.speed =
      `${median(ratios).toFixed(1)} times mergekit's (${Math.min(...ratios).toFixed(1)} to ` +
      `${Math.max(...ratios).toFixed(1)}), memory ${(memoryOf(own) / memoryOf(peer)).toFixed(2)} of its`;
    figures.outputs = agrees;
  }
  console.log(`\n${method}`);
  print(figures);
}

/** What one side wrote is on the disk before the next begins; with --cold nothing stays in the file cache. */
async function settle() {
  await promisify(execFile)("sync");
  if (values.cold) await writeFile("/proc/sys/vm/drop_caches", "1");
}

/**
 * Seconds for what a merge cannot do without: every byte of the inputs, and the output's, flushed.
 * @param {readonly string[]} files
 */
async function readAndWrite(files) {
  const { size } = await stat(files[0]);
  const start = performance.now();
  for (const file of files) await readWhole(file);
  const path = join(work, "copy");
  const handle = await open(path, "w");
  const piece = new Uint8Array(PIECE_BYTES);
  for (let done = 0; done < size; done += piece.length) {
    await handle.write(piece, 0, Math.min(piece.length, size - done));
  }
  await handle.sync();
  await handle.close();
  const seconds = (performance.now() - start) / 1000;
  await rm(path);
  return seconds;
}

/** @param {string} file */
async function readWhole(file) {
  const handle = await open(file);
  const piece = new Uint8Array(PIECE_BYTES);
  while ((await handle.read(piece, 0, piece.length)).bytesRead > 0);
  await handle.close();
}

/**
 * How far the two outputs are apart, as a share of mergekit's update of the base: root mean squares over all tensors.
 * @param {string} ours
 * @param {string} theirs
 * @param {string} base
 */
async function agreement(ours, theirs, base) {
  const [own, peer, origin] = [await openWeights(ours), await openWeights(theirs), await openWeights(base)];
  if ([...own.tensors.keys()].sort().join() !== [...peer.tensors.keys()].sort().join()) {
    throw new Error(`${theirs} has other tensors than ${ours}`);
  }
  let apart = 0;
  let update = 0;
  let equal = 0;
  let count = 0;
  for (const name of own.tensors.keys()) {
    const [a, b, c] = [await own.float32(name), await peer.float32(name), await origin.float32(name)];
    for (let i = 0; i < a.length; i++) {
      apart += (a[i] - b[i]) ** 2;
      update += (b[i] - c[i]) ** 2;
      equal += Number(a[i] === b[i]);
    }
    count += a.length;
  }
  const share = Math.sqrt(apart / update);
  if (!(share <= TOLERANCE)) throw new Error(`${theirs} and ${ours} differ by ${share.toFixed(3)} of the update`);
  return `${((100 * equal) / count).toFixed(1)} % of the entries equal, apart by ${(100 * share).toFixed(1)} % of the update`;
}

/** @param {number} bytes */
function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
