/**
 * What the fuse stage takes for its data: a made-up mixture of dialogues, the pivot's distributions of them (top-10) and a
 * source's aligned to them (20 a row), by default 95,000 dialogues and some 30 million rows, as many as the papers' data
 * has. The stage runs in a process of its own with an engine that does nothing, once over all of the data and once over
 * a single shard; the difference of the two peaks of private memory is what the data cost.
 *
 *   node bench/fuse-data.mjs [--quick] [dialogues]
 *
 * The tokenizer is that of ../shared/data where it exists, else of lab/models. 5 GB of disk at the default number.
 */
import { createWriteStream, existsSync, readFileSync } from "node:fs";
import { copyFile, cp, mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { finished } from "node:stream/promises";
import { writeAlignedShard } from "../dist/align/shard-file.js";
import { readConversations } from "../dist/data/read.js";
import { collectDistributions } from "../dist/distributions/collect.js";
import { readDistributions } from "../dist/distributions/read-folder.js";
import { tokenIds } from "../dist/distributions/shard-file.js";
import { writeJson } from "../dist/formats/files.js";
import { numberToHalf } from "../dist/formats/float.js";
import { fuseTarget } from "../dist/fuse/fuse.js";
import { FUSION_DEFAULTS, TRAINING_DEFAULTS } from "../dist/fuse/options.js";
import { createRandom } from "../dist/random.js";
import { silent } from "../dist/reporter.js";
import { measuredCommand } from "./measured-command.mjs";

const root = resolve(import.meta.dirname, "..");
const [first, second, third] = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const quick = process.argv.includes("--quick");
const SHARD = 256;
const TOP_K = 10;
const WIDTH = 20;
/** Words of a response: with 1.3 tokens a word some 315 rows, of a prompt a fifth. */
const WORDS = { prompt: 50, response: 268 };
/** Of every aligned row, as they are stored. */
const LOGPS = Uint16Array.from({ length: WIDTH }, (_, k) => numberToHalf(-1 - k / 2));

// The stage alone, for a process whose memory is measured.
if (first === "stage") await stage(second, third);
else {
  const work = await mkdtemp(join(tmpdir(), "fusechat-bench-fuse-data-"));
  try {
    await measure(work, Number(first ?? (quick ? 512 : 95_000)));
  } finally {
    await rm(work, { recursive: true });
  }
}

async function measure(work, dialogues) {
  await makeModel(join(work, "model"));
  for (const [name, count] of [
    ["one", SHARD],
    ["all", dialogues],
  ]) {
    await mkdir(join(work, name));
    await writeMixture(join(work, name, "data.jsonl"), count);
    await makeShards(work, name);
  }
  const rows = JSON.parse(readFileSync(join(work, "all/pivot/manifest.json"), "utf8")).rows;
  const sizes = await Promise.all(["pivot", "aligned"].map((name) => sizeOf(join(work, "all", name))));
  const text = (await stat(join(work, "all/data.jsonl"))).size;
  const mb = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;
  console.log(`${dialogues} dialogues, ${rows} rows, text ${mb(text)}, shards ${mb(sizes[0])} and ${mb(sizes[1])}`);
  const run = (name) => measuredCommand(process.execPath, [import.meta.filename, "stage", work, name]);
  const one = await run("one");
  const all = await run("all");
  const steps = Math.ceil(dialogues / TRAINING_DEFAULTS.batch);
  console.log(`one shard: ${one.seconds.toFixed(1)} s, peak private memory ${mb(one.privateBytes)}`);
  console.log(
    `all: ${all.seconds.toFixed(1)} s for one pass and ${steps} steps (processor ${all.processorSeconds.toFixed(1)} s), ` +
      `peak private memory ${mb(all.privateBytes)}`,
  );
  console.log(`for data: ${mb(all.privateBytes - one.privateBytes)} (budget 1000)`);
}

/** A folder that has all that the stage looks at; its weights are never read. */
async function makeModel(folder) {
  const tokenizer = join(root, "../shared/data/tokenizers/openchat-3.5");
  await cp(join(root, "lab/models/lab-mistral"), folder, { recursive: true });
  if (!existsSync(tokenizer)) return;
  for (const name of await readdir(tokenizer)) await copyFile(join(tokenizer, name), join(folder, name));
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  await writeJson(join(folder, "config.json"), { ...config, vocab_size: 32_002 });
}

async function writeMixture(path, dialogues) {
  const words = [...new Set(readFileSync(join(root, "README.md"), "utf8").match(/\b[a-z]{3,12}\b/g))];
  const random = createRandom("mixture");
  const text = (count) => Array.from({ length: count }, () => words[random.integer(words.length)]).join(" ");
  const file = createWriteStream(path);
  for (let n = 0; n < dialogues; n++) {
    const turns = [
      { role: "user", content: `${n}: ${text(WORDS.prompt)}` },
      { role: "assistant", content: text(WORDS.response) },
    ];
    if (!file.write(`${JSON.stringify({ turns })}\n`)) await new Promise((done) => file.once("drain", done));
  }
  file.end();
  await finished(file);
}

/** What an engine knows of the model: its weights do not fit its config, and are never read. */
async function facts(folder) {
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  return {
    folder,
    architecture: config.model_type,
    vocabulary: config.vocab_size,
    maxPositions: 2048,
    parameters: 1e6,
  };
}

async function makeShards(work, name) {
  const pivot = join(work, name, "pivot");
  await collectDistributions(
    {
      model: join(work, "model"),
      conversations: (await readConversations(join(work, name, "data.jsonl"))).conversations,
      out: pivot,
      topK: TOP_K,
      maxLength: 2048,
      template: "native",
      shardConversations: SHARD,
    },
    {
      engine: { kind: "none", facts, open: async (folder) => reader(folder), dispose: async () => {} },
      reporter: silent,
    },
  );
  let number = 0;
  for await (const { shard } of readDistributions(pivot)) {
    const path = join(work, name, "aligned", `shard-${String(number++).padStart(5, "0")}.safetensors`);
    await writeAlignedShard(path, alignedTo(shard));
  }
}

/** Every row has the same probabilities, and other tokens. */
function reader(folder) {
  const rows = async (sequences) => {
    const count = sequences.reduce((sum, { positions }) => sum + positions.length, 0);
    const topId = Int32Array.from(
      { length: count * TOP_K },
      (_, i) => (7 * Math.floor(i / TOP_K) + (i % TOP_K)) % 1000,
    );
    const topLogp = Float32Array.from({ length: count * TOP_K }, (_, i) => -1 - (i % TOP_K) / 2);
    return { labelLogp: new Float32Array(count).fill(-2), topId, topLogp };
  };
  return { folder, vocabulary: 0, parameters: 0, rows, dispose: async () => {} };
}

/** A source that shares every row, and is chosen in every other conversation. */
function alignedTo({ metadata, conversation, rowStart, bytes, token }) {
  const rows = token.length;
  const topId = tokenIds(metadata.vocabulary, rows * WIDTH);
  const topLogp = new Uint16Array(rows * WIDTH);
  for (let i = 0; i < topId.length; i++) {
    topId[i] = (11 * Math.floor(i / WIDTH) + (i % WIDTH)) % 1000;
    topLogp[i] = LOGPS[i % WIDTH];
  }
  const nats = Float32Array.from(conversation, (_, n) => 2 * (rowStart[n + 1] - rowStart[n]));
  return {
    metadata: { pivot: metadata.model, source: "other", sequence: "bytes", vocabulary: "exact" },
    conversation,
    rowStart,
    sourceRow: Int32Array.from(token, (_, row) => row),
    topId,
    topLogp,
    pivotNats: nats,
    sourceNats: nats.map((value, n) => (n % 2 === 0 ? value - 1 : value + 1)),
    pivotBytes: bytes,
    sourceBytes: bytes,
  };
}

async function stage(work, name) {
  const trainer = {
    step: async ({ sequences }) => {
      const rows = sequences.reduce((sum, { positions }) => sum + positions.length, 0);
      return { rows, labelLoss: 1, fusionLoss: 1, gradientNorm: 1 };
    },
    saveCheckpoint: async () => {},
    saveWeights: (folder) => copyFile(join(work, "model/model.safetensors"), join(folder, "model.safetensors")),
    dispose: async () => {},
  };
  const summary = await fuseTarget(
    {
      ...FUSION_DEFAULTS,
      ...TRAINING_DEFAULTS,
      epochs: 1,
      model: join(work, "model"),
      conversations: (await readConversations(join(work, name, "data.jsonl"))).conversations,
      pivot: join(work, name, "pivot"),
      aligned: join(work, name, "aligned"),
      out: join(work, name, "target"),
    },
    { engine: { kind: "none", facts, train: async () => trainer, dispose: async () => {} }, reporter: silent },
  );
  if (summary.coverage.source_rows === 0) throw new Error("the source was never chosen");
}

async function sizeOf(folder) {
  const names = (await readdir(folder)).filter((file) => file.startsWith("shard-"));
  const sizes = await Promise.all(names.map(async (file) => (await stat(join(folder, file))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
