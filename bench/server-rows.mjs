/**
 * Distributions of conversations from a server on the loopback interface that answers at once: what asking, reading,
 * checking and keeping rows costs, beside a client that sends the same requests, parses the same bytes with JSON.parse and
 * keeps nothing. Both kinds of servers; processor time of this process alone, the server has its own.
 *
 *   node bench/server-rows.mjs [--quick] [conversations]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, createServer, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SERVER_KINDS } from "../dist/engine/server/kinds/index.js";
import { collectRows } from "../dist/engine/server/rows.js";
import { openServer } from "../dist/engine/server/server.js";
import { print } from "./rounds.mjs";

const TOKENS = 700;
const TOP_K = 10;
const VOCABULARY = 151_936;
const CONCURRENCY = 8;
/** A call to the engine is as large as a shard. */
const SHARD = 256;
/** The second half of a conversation is its response. */
const FIRST_LABEL = TOKENS / 2;

const ids = Array.from({ length: TOKENS }, (_, position) => (7919 * position + 13) % VOCABULARY);

if (process.argv[2] === "serve") serve();
else await measure();

/** In a process of its own, so that its time is not counted. The text of a prompt's answer is made once. */
function serve() {
  const answers = { vllm: vllmAnswer(), sglang: sglangAnswer() };
  const server = createServer((incoming, outgoing) => {
    const pieces = [];
    incoming.on("data", (piece) => pieces.push(piece));
    incoming.on("end", () => {
      outgoing.setHeader("content-type", "application/json");
      if (incoming.method === "GET") {
        const data = ["vllm", "sglang"].map((owner) => ({ id: owner, owned_by: owner, max_model_len: 4096 }));
        return outgoing.end(JSON.stringify({ data }));
      }
      const { prompt, input_ids } = JSON.parse(Buffer.concat(pieces).toString("latin1"));
      if (input_ids !== undefined) return outgoing.end(`[${input_ids.map(() => answers.sglang).join(",")}]`);
      const choices = prompt.map((_, index) => `{"index":${index},"text":" a","logprobs":null,${answers.vllm}}`);
      return outgoing.end(`{"id":"cmpl-0","object":"text_completion","choices":[${choices.join(",")}],"usage":{}}`);
    });
  });
  // A kept connection that ends while the client is busy is no part of the measurement.
  server.keepAliveTimeout = 0;
  server.listen(0, "127.0.0.1", () => process.send(server.address().port));
}

/** K candidates of a position, of which the label is the third; in a third of the positions it is none of them. */
function candidates(position) {
  const list = Array.from({ length: TOP_K }, (_, k) => ({
    id: (ids[position] + 17 * (k - 2) + VOCABULARY) % VOCABULARY,
    logp: Math.fround(-0.9 - 0.61 * k - ((position * 37) % 100) / 1000),
    rank: k + 1,
  }));
  if (position % 3 > 0) return list;
  list[2].id = (ids[position] + 5000) % VOCABULARY;
  return [{ id: ids[position], logp: Math.fround(-9.1 - position / 1000), rank: 77 }, ...list];
}

function vllmAnswer() {
  const list = ids.map((_, position) => {
    if (position === 0) return "null";
    const members = candidates(position).map(
      ({ id, logp, rank }) => `"${id}":{"logprob":${logp},"rank":${rank},"decoded_token":" word"}`,
    );
    return `{${members.join(",")}}`;
  });
  return `"finish_reason":"length","prompt_logprobs":[${list.join(",")}]`;
}

function sglangAnswer() {
  const later = ids.map((_, position) => position).filter((position) => position >= FIRST_LABEL);
  const entry = ({ id, logp }) => `[${logp},${id},null]`;
  const labels = later.map((position) => entry(candidates(position).find(({ id }) => id === ids[position])));
  const top = later.map((position) => `[${candidates(position).slice(-TOP_K).map(entry).join(",")}]`);
  const start = `[null,${ids[FIRST_LABEL - 1]},null]`;
  return `{"text":" a","meta_info":{"id":"0","input_token_logprobs":[${[start, ...labels].join(",")}],"input_top_logprobs":[${["null", ...top].join(",")}]}}`;
}

async function measure() {
  const quick = process.argv.includes("--quick");
  const given = process.argv.slice(2).find((argument) => !argument.startsWith("--"));
  const conversations = Number(given ?? (quick ? 100 : 1000));
  const folder = await mkdtemp(join(tmpdir(), "fusechat-bench-servers-"));
  const child = fork(fileURLToPath(import.meta.url), ["serve"]);
  try {
    const [port] = await once(child, "message");
    const url = `http://127.0.0.1:${port}`;
    for (const kind of SERVER_KINDS) {
      const settings = { url, model: kind.name, concurrency: CONCURRENCY, maxLogprobs: null };
      const server = await openServer(kind, settings, { apiKey: undefined, kinds: [kind] });
      const few = Math.min(SHARD, conversations);
      // Compiled code and grown buffers are no part of either.
      await ours(server, 32, join(folder, "warm"));
      await bare(kind, url, 32);
      const parsed = await timed(() => bare(kind, url, conversations));
      const asked = await timed(() => ours(server, conversations, join(folder, kind.name)));
      const each = ({ processor }) => `${((1e3 * processor) / conversations).toFixed(2)} ms of processor time`;
      print({
        [`${conversations} conversations of ${TOKENS} tokens, ${kind.title}`]: `${each(asked)} each in calls of ${few}, rows kept`,
        "sent, parsed, nothing kept": `${each(parsed)} each, ${(parsed.result / conversations / 1e3).toFixed(0)} kB each; ours takes ${(asked.processor / parsed.processor).toFixed(2)} times that`,
        "memory at the end": `${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`,
      });
    }
  } finally {
    child.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

async function ours(server, conversations, work) {
  const limits = { folder: "bench", vocabulary: VOCABULARY, maxPositions: null };
  const sequence = {
    ids: Int32Array.from(ids),
    positions: Int32Array.from({ length: TOKENS - FIRST_LABEL }, (_, row) => FIRST_LABEL + row),
  };
  for (let first = 0; first < conversations; first += SHARD) {
    // Not the same in every call, or they would be found in what is kept.
    const own = { ...sequence, ids: sequence.ids.map((id, at) => (at === 0 ? first : id)) };
    const count = Math.min(SHARD, conversations - first);
    const batch = await collectRows(server, limits, new Array(count).fill(own), { topK: TOP_K, work });
    if (batch.labelLogp.length !== count * (TOKENS - FIRST_LABEL)) throw new Error("rows are missing");
  }
}

/** The same requests, as many at once, and their replies parsed. Resolves to the bytes of all replies. */
async function bare(kind, url, conversations) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  const positions = Int32Array.of(FIRST_LABEL);
  const bodies = [];
  for (let done = 0; done < conversations; done += 2) {
    const sequences = new Array(Math.min(2, conversations - done)).fill({ ids: Int32Array.from(ids), positions });
    bodies.push(() => kind.body({ model: kind.name, sequences, topK: TOP_K }));
  }
  let bytes = 0;
  const post = (body) =>
    new Promise((done, fail) => {
      const request = httpRequest(`${url}/${kind.route}`, { method: "POST", agent }, (response) => {
        const pieces = [];
        response.on("data", (piece) => pieces.push(piece));
        response.on("end", () => {
          const whole = Buffer.concat(pieces);
          bytes += whole.byteLength;
          JSON.parse(whole.toString("utf8"));
          done();
        });
      });
      request.on("error", fail);
      request.end(body);
    });
  const hands = Array.from({ length: CONCURRENCY }, async () => {
    for (let next = bodies.shift(); next !== undefined; next = bodies.shift()) await post(next());
  });
  await Promise.all(hands);
  agent.destroy();
  return bytes;
}

async function timed(work) {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { result, processor: (user + system) / 1e6 };
}
