/**
 * The server under load: tokens a second and time to the first token with one client and with several, each of whom asks
 * again as soon as it is answered. Beside it, where `--llama-server` names the program and `--gguf` the same weights,
 * llama.cpp's server with as many slots. Run `npx tsc` first, then
 * `node bench/serve.mjs --size smollm2-135m --clients 8 --seconds 40`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { createRandom } from "../dist/random.js";
import { randomModel, SIZES } from "./random-model.mjs";
import { median, print, randomIds } from "./rounds.mjs";

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "smollm2-135m" },
    model: { type: "string" },
    clients: { type: "string", default: "8" },
    seconds: { type: "string", default: "40" },
    threads: { type: "string", default: "2" },
    "llama-server": { type: "string" },
    gguf: { type: "string" },
    quick: { type: "boolean", default: false },
  },
});
const size = SIZES[values.quick ? "small" : values.size];
if (size === undefined) throw new Error(`--size is one of ${Object.keys(SIZES).join(", ")}`);
const clients = Number(values.clients);
const seconds = values.quick ? 1 : Number(values.seconds);

/** @typedef {{ first: number, tokens: number }} Answer Milliseconds to the first token, and how many there were. */
/** @typedef {{ rate: number, first: number }} Load Tokens a second, and the median time to a first token. */

/** The tokenizer of a golden model with as many tokens more as the head has places. @param {string} folder */
async function writeTokenizer(folder) {
  const golden = resolve(import.meta.dirname, "../test/golden/models/mistral");
  const tokenizer = JSON.parse(await readFile(join(golden, "tokenizer.json"), "utf8"));
  const { vocab } = tokenizer.model;
  // Added tokens come last.
  const added = tokenizer.added_tokens.filter((/** @type {{ content: string }} */ { content }) => !(content in vocab));
  const known = Object.keys(vocab).length;
  for (let id = known; id < size.vocabulary - added.length; id++) vocab[`filler${id}`] = id;
  for (const [index, token] of added.entries()) token.id = size.vocabulary - added.length + index;
  tokenizer.post_processor = null;
  const { added_tokens_decoder: _, ...config } = JSON.parse(
    await readFile(join(golden, "tokenizer_config.json"), "utf8"),
  );
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(config));
}

/** Asks for `count` tokens after a prompt. @returns {Promise<Answer>} */
async function ask(
  /** @type {string} */ url,
  /** @type {string} */ model,
  /** @type {number[]} */ prompt,
  /** @type {number} */ count,
) {
  const start = performance.now();
  const body = {
    model,
    prompt,
    max_tokens: count,
    temperature: 0,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
  };
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok || response.body === null) throw new Error(`${response.status}: ${await response.text()}`);
  let first = 0;
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    text += decoder.decode(bytes, { stream: true });
    if (first === 0 && text.includes('"text"')) first = performance.now() - start;
  }
  const tokens = Number(/.*"completion_tokens":\s*(\d+)/s.exec(text)?.[1] ?? Number.NaN);
  if (tokens !== count) throw new Error(`expected ${count} tokens, found ${tokens}`);
  return { first, tokens };
}

/** Some clients for some time, no two prompts alike. @returns {Promise<Load>} */
async function load(
  /** @type {string} */ url,
  /** @type {string} */ model,
  /** @type {number} */ count,
  /** @type {number} */ duration,
) {
  const start = performance.now();
  const end = start + 1000 * duration;
  /** @type {Answer[]} */
  const answers = [];
  await Promise.all(
    Array.from({ length: count }, async (_, client) => {
      const random = createRandom(`serve/${count}/${client}/${start}`);
      while (performance.now() < end) {
        const prompt = randomIds(random, 32 + random.integer(64), 470).map((id) => id + 3);
        answers.push(await ask(url, model, [...prompt], 32 + random.integer(64)));
      }
    }),
  );
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0);
  return { rate: (1000 * tokens) / (performance.now() - start), first: median(answers.map(({ first }) => first)) };
}

/** Starts a program and waits for `ready` on its output. */
async function start(/** @type {string} */ command, /** @type {string[]} */ arguments_, /** @type {RegExp} */ ready) {
  const child = spawn(command, arguments_, { stdio: ["ignore", "pipe", "pipe"] });
  const found = await new Promise((done, fail) => {
    let text = "";
    const patience = setTimeout(() => {
      child.kill("SIGKILL");
      fail(new Error(`${command} is not ready within two minutes: ${text.slice(-500)}`));
    }, 120_000);
    const read = (/** @type {Buffer} */ data) => {
      text += data;
      const match = ready.exec(text);
      if (match === null) return;
      clearTimeout(patience);
      done(match);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("exit", (code) => fail(new Error(`${command} ended with ${code}: ${text.slice(-500)}`)));
  });
  const stop = async () => {
    child.removeAllListeners("exit");
    child.kill("SIGINT");
    await once(child, "exit");
  };
  return { found, stop };
}

/** One client, then several; warmed up, for programs are built when they are first needed. */
async function measure(/** @type {string} */ url, /** @type {string} */ model) {
  await load(url, model, 1, seconds / 8);
  await load(url, model, clients, seconds / 2);
  const one = await load(url, model, 1, seconds / 2);
  const many = await load(url, model, clients, seconds);
  return { one, many };
}

const tokenizer = await mkdtemp(join(tmpdir(), "fusechat-bench-tokenizer-"));
await writeTokenizer(tokenizer);
const folder = values.model ?? (await randomModel(size, { tokenizer }));
try {
  const main = resolve(import.meta.dirname, "../dist/cli/main.js");
  const own = ["serve", folder, "--port", "0", "--threads", values.threads];
  const server = await start(process.execPath, [main, ...own], /at (http:\S+)\/v1/);
  const ours = await measure(server.found[1], folder).finally(server.stop);
  /** @param {Load} load */
  const words = ({ rate, first }) => `${rate.toFixed(1)} tokens/s, first token after ${first.toFixed(0)} ms`;
  print({
    server: `${values.model ?? (values.quick ? "small" : values.size)}, ${values.threads} threads, ${seconds} s, prompts of 32 to 95 tokens, answers of as many`,
    "one client": words(ours.one),
    [`${clients} clients`]: `${words(ours.many)}: ${(ours.many.rate / ours.one.rate).toFixed(1)} x the tokens, ${(ours.many.first / ours.one.first).toFixed(1)} x the time`,
  });
  if (values["llama-server"] !== undefined && values.gguf !== undefined) {
    const port = "18099";
    const arguments_ = ["-m", values.gguf, "--port", port, "-t", values.threads, "-tb", values.threads];
    const slots = ["-np", `${clients}`, "-c", `${512 * clients}`, "--no-webui"];
    const llama = await start(
      values["llama-server"],
      [...arguments_, ...slots],
      /llama_server: listening|server is listening/,
    );
    const theirs = await measure(`http://127.0.0.1:${port}`, "model").finally(llama.stop);
    print({
      "llama-server, one client": `${words(theirs.one)}; ours ${(ours.one.rate / theirs.one.rate).toFixed(2)} x the tokens`,
      [`llama-server, ${clients} clients`]: `${words(theirs.many)}; ours ${(ours.many.rate / theirs.many.rate).toFixed(2)} x the tokens`,
    });
  }
} finally {
  await rm(tokenizer, { recursive: true, force: true });
  if (values.model === undefined) await rm(folder, { recursive: true, force: true });
}
