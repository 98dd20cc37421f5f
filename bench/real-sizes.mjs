/**
 * `fusechat distributions` on a random checkpoint of a published shape, as a process of its own: its peak memory against
 * the size of the weight file, and its speed. Run `npx tsc` first, then with the folder of any tokenizer that has a chat
 * template and no more tokens than the shape's head:
 *
 *     node bench/real-sizes.mjs --size tinyllama-1.1b --dtype BF16 --tokenizer DIR [--tokens 4096] [--data FILE]
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readConversations, writeConversations } from "../dist/data/read.js";
import { openConversationTokeniser } from "../dist/data/tokenise.js";
import { readSafetensorsHeader } from "../dist/formats/safetensors.js";
import { createRandom } from "../dist/random.js";
import { productTimer } from "./products.mjs";
import { randomModel, SIZES } from "./random-model.mjs";
import { median, print } from "./rounds.mjs";

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "tinyllama-1.1b" },
    dtype: { type: "string", default: "BF16" },
    tokenizer: { type: "string" },
    data: { type: "string" },
    tokens: { type: "string", default: "4096" },
  },
});
const size = SIZES[values.size];
if (size === undefined) throw new Error(`--size is one of ${Object.keys(SIZES).join(", ")}`);
if (!["F32", "F16", "BF16"].includes(values.dtype)) throw new Error("--dtype is one of F32, F16, BF16");
if (values.tokenizer === undefined) throw new Error("--tokenizer is a folder with tokenizer.json and a chat template");

const work = await mkdtemp(join(tmpdir(), "fusechat-bench-"));
let model = "";
try {
  model = await randomModel(size, { dtype: values.dtype, tokenizer: values.tokenizer });
  const data = values.data ?? (await writeRandomTexts(join(work, "conversations.jsonl"), Number(values.tokens)));
  const texts = await lengths(model, data);
  const timeProduct = await productTimer(availableParallelism());
  const before = [await timeProduct(), await timeProduct(), await timeProduct()];
  const { seconds, peak } = await distributions(model, data, join(work, "shards"));
  const after = [await timeProduct(), await timeProduct(), await timeProduct()];

  const file = join(model, "model.safetensors");
  const bytes = (await stat(file)).size;
  const weights = [...(await readSafetensorsHeader(file)).tensors.values()];
  const parameters = weights.reduce(
    (sum, { shape }) => sum + shape.reduce((product, extent) => product * extent, 1),
    0,
  );
  const tokens = texts.reduce((sum, { length }) => sum + length, 0);
  const rows = texts.reduce((sum, text) => sum + text.rows, 0);
  const speed = operations(size, texts) / seconds / 1e9;
  const product = median([...before, ...after]);
  print({
    model: `${values.size}, ${(parameters / 1e6).toFixed(0)} M parameters, ${values.dtype}, ${(bytes / 1e6).toFixed(0)} MB`,
    work: `${texts.length} conversations, ${tokens} tokens, ${rows} rows`,
    "peak memory": `${(peak / 1e6).toFixed(0)} MB, ${(peak / bytes).toFixed(2)} x the file`,
    time: `${seconds.toFixed(1)} s from start to end of the process, ${(tokens / seconds).toFixed(0)} tokens/s`,
    products: `${speed.toFixed(0)} GFLOPS, ${((100 * speed) / product).toFixed(0)} % of the ${product.toFixed(0)} of one large product`,
  });
} finally {
  await rm(work, { recursive: true, force: true });
  if (model !== "") await rm(model, { recursive: true, force: true });
}

/**
 * Conversations of made-up words, about `tokens` tokens in all: answers of some 50 to 800 words.
 * @param {string} path
 * @param {number} tokens
 */
async function writeRandomTexts(path, tokens) {
  const random = createRandom("real-sizes");
  const pick = (/** @type {string} */ letters) => letters[random.integer(letters.length)];
  const word = () => Array.from({ length: 1 + random.integer(3) }, () => pick("bdfgklmnprst") + pick("aeiou")).join("");
  const text = (/** @type {number} */ words) => Array.from({ length: words }, word).join(" ");
  const conversations = [];
  // A word of four letters on average is about two tokens.
  for (let left = tokens / 2; left > 50; ) {
    const words = Math.floor(Math.min(left, 50 * 16 ** random.next()));
    left -= words;
    const turns = [
      { role: "user", content: text(20) },
      { role: "assistant", content: text(words) },
    ];
    conversations.push({ id: `random-${conversations.length}`, turns });
  }
  await writeConversations(path, conversations);
  return path;
}

/**
 * Tokens and rows of each conversation that the template takes.
 * @param {string} model
 * @param {string} data
 */
async function lengths(model, data) {
  const tokeniser = await openConversationTokeniser(model, { maxLength: 2048 });
  try {
    const found = await tokeniser.tokenise((await readConversations(data)).conversations, 0);
    return found.flatMap((one) =>
      "refused" in one ? [] : [{ length: one.ids.length, rows: one.rows.position.length }],
    );
  } finally {
    await tokeniser.dispose();
  }
}

/**
 * Multiplications and additions of the products that a forward pass cannot do without.
 * @param {import("./random-model.mjs").Size} size
 * @param {readonly { length: number, rows: number }[]} texts
 */
function operations({ hidden, layers, heads, keyValueHeads = heads, intermediate, vocabulary }, texts) {
  const layer = 2 * hidden * hidden * (1 + keyValueHeads / heads) + 3 * hidden * intermediate;
  let sum = 0;
  for (const { length, rows } of texts) {
    sum += layers * (length * layer + hidden * length * (length + 1)) + rows * hidden * vocabulary;
  }
  return 2 * sum;
}

/**
 * Runs the verb; its own account of its peak memory, in bytes. On Linux `maxRSS` has what the parent had when it forked.
 * @param {string} model
 * @param {string} data
 * @param {string} out
 * @returns {Promise<{ seconds: number, peak: number }>}
 */
function distributions(model, data, out) {
  const tell = `
    import { readFileSync } from "node:fs";
    import { isMainThread } from "node:worker_threads";
    const peak = () => process.platform === "linux"
      ? Number(/VmHWM:\\s*(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1])
      : process.resourceUsage().maxRSS;
    if (isMainThread) process.on("exit", () => process.send(1024 * peak()));`;
  const start = performance.now();
  const child = spawn(
    process.execPath,
    [
      ...["--import", `data:text/javascript,${encodeURIComponent(tell)}`],
      resolve(import.meta.dirname, "../dist/cli/main.js"),
      ...["distributions", "--model", model, "--data", data, "--out", out, "--quiet"],
    ],
    { stdio: ["ignore", "ignore", "inherit", "ipc"] },
  );
  return new Promise((done, fail) => {
    let peak = 0;
    child.on("message", (bytes) => {
      peak = Number(bytes);
    });
    child.on("error", fail);
    child.on("close", (code) => {
      if (code !== 0) fail(new Error(`distributions ended with ${code}`));
      else done({ seconds: (performance.now() - start) / 1000, peak });
    });
  });
}
