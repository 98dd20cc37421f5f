/**
 * Judgments asked of a server on the loopback interface that answers at once: what the judge client costs, beside bare
 * requests of the same size over Node's own connections in the same run. The client checks every reply and flushes it
 * to its ledger before it counts. The heap is looked at after a collection, early and late: it must not grow.
 *
 *   node bench/judging.mjs [--quick] [judgments]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, createServer, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openJudge } from "../dist/evaluate/judges/open.js";
import { silent } from "../dist/reporter.js";
import { print } from "./rounds.mjs";

const CONCURRENCY = 64;
/** Characters of a question, about those of a graded answer. */
const LONG = 2_000;
const REPLY = JSON.stringify({
  choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: "Rating: [[7]]" } }],
  usage: { prompt_tokens: 500, completion_tokens: 5 },
});

if (process.argv[2] === "serve") serve();
else await measure();

/** In a process of its own, so that its time is not counted. */
function serve() {
  const server = createServer((incoming, outgoing) => {
    incoming.resume();
    incoming.on("end", () => outgoing.writeHead(200, { "content-type": "application/json" }).end(REPLY));
  });
  server.listen(0, "127.0.0.1", () => process.send(server.address().port));
}

async function measure() {
  const quick = process.argv.includes("--quick");
  const judgments = Number(
    process.argv.slice(2).find((argument) => !argument.startsWith("--")) ?? (quick ? 500 : 10_000),
  );
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  const heap = () => {
    collect();
    return process.memoryUsage().heapUsed / 1e6;
  };
  const folder = await mkdtemp(join(tmpdir(), "fusechat-bench-judging-"));
  const child = fork(fileURLToPath(import.meta.url), ["serve"]);
  try {
    const [port] = await once(child, "message");
    const url = `http://127.0.0.1:${port}/v1`;
    const bare = await timed(() => bareRequests(url, judgments));
    const endpoint = { url, model: "critic", concurrency: CONCURRENCY, timeoutSeconds: 30, attempts: 2 };
    const judge = await openJudge({ endpoint }, join(folder, "ledger.jsonl"));
    const heaps = [];
    const asked = await timed(async () => {
      let replies = 0;
      for await (const answer of judge.ask(questions(judgments), { reporter: silent })) {
        if ("failure" in answer) throw new Error(answer.failure);
        replies++;
        if (replies === Math.ceil(judgments / 10) || replies === judgments) heaps.push(heap());
      }
    });
    const again = await timed(async () => {
      for await (const answer of judge.ask(questions(judgments), { reporter: silent })) {
        if (!answer.fromLedger) throw new Error("asked twice");
      }
    });
    await judge.dispose();
    const each = ({ processor }) => `${((1e3 * processor) / judgments).toFixed(2)} ms of processor time`;
    const pace = ({ seconds }) => `${Math.round(judgments / seconds)} a second`;
    print({
      [`${judgments} judgments`]: `${each(asked)} each, ${pace(asked)}, ${CONCURRENCY} in flight, flushed to the ledger`,
      "bare requests": `${each(bare)} each, ${pace(bare)}; the client takes ${(asked.processor / bare.processor).toFixed(1)} times that`,
      "from the ledger": `${each(again)} each, ${pace(again)}`,
      heap: `${heaps[0].toFixed(1)} MB after a tenth, ${heaps[1].toFixed(1)} MB at the end`,
    });
  } finally {
    child.kill();
    await rm(folder, { recursive: true });
  }
}

/** Seconds, by the clock and of this process's processor time. */
async function timed(work) {
  const start = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - start) / 1e3, processor: (user + system) / 1e6 };
}

function content(n) {
  return `Question ${n}: ${String.fromCharCode(97 + (n % 26)).repeat(LONG)}`;
}

function* questions(count) {
  for (let n = 0; n < count; n++) {
    const messages = [{ role: "user", content: content(n) }];
    yield { id: String(n), request: { messages, temperature: 0, maxTokens: 5, topLogprobs: 0 } };
  }
}

async function bareRequests(url, count) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  let next = 0;
  const hand = async () => {
    while (next < count) {
      const body = JSON.stringify({ model: "critic", messages: [{ role: "user", content: content(next++) }] });
      await new Promise((resolve, reject) => {
        const outgoing = httpRequest(`${url}/chat/completions`, { method: "POST", agent }, (incoming) => {
          incoming.resume();
          incoming.on("end", resolve);
        });
        outgoing.on("error", reject);
        outgoing.end(body);
      });
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, hand));
  agent.destroy();
}
