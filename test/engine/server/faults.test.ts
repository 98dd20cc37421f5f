/** What a server may do to those who ask it, and what they make of it: another attempt, a smaller request, one sentence. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { EngineModel, Sequence } from "#src/engine/engine.js";
import { createEngine } from "#src/engine/index.js";
import { loadTokenizer } from "#src/tokenizer/load.js";
import type { Tokenizer } from "#src/tokenizer/tokenizer.js";
import {
  type Answer,
  type Asked,
  type Kind,
  madeUpRows,
  type PromptRows,
  type StandIn,
  type StandInOptions,
  startStandIn,
} from "./stand-in.ts";

const golden = resolve(import.meta.dirname, "../../golden");
const folder = join(golden, "models/qwen2");
const KINDS: readonly Kind[] = ["vllm", "sglang"];
const VOCABULARY = 418;
const TOP_K = 4;

let root: string;
let tokenizer: Tokenizer;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-server-faults-"));
  tokenizer = await loadTokenizer(folder);
});
afterAll(() => rm(root, { recursive: true }));

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const server of opened.splice(0)) await server.close();
});

const rowsOf = (shift = 0): PromptRows => madeUpRows(VOCABULARY, shift);

async function standIn(kind: Kind, more: Partial<StandInOptions> = {}): Promise<StandIn> {
  const server = await startStandIn({ kind, rows: rowsOf(), tokenizer, vocabulary: VOCABULARY, ...more });
  opened.push(server);
  return server;
}

async function open(
  kind: Kind,
  url: string,
  more: { work?: string; key?: string; model?: string } = {},
): Promise<EngineModel> {
  const settings = { kind, url, model: more.model ?? null, concurrency: 3, maxLogprobs: null };
  const engine = await createEngine(settings, () => more.key);
  return engine.open(folder, more.work);
}

/** Twelve conversations of 300 tokens, each with labels in its second half: six to a request. */
const sequences: Sequence[] = Array.from({ length: 12 }, (_, conversation) => ({
  conversation: 100 + conversation,
  ids: Int32Array.from({ length: 300 }, (_, index) => (17 * index + 5 * conversation) % VOCABULARY),
  positions: Int32Array.from({ length: 150 }, (_, index) => 150 + index),
}));

/** The rows that must come, whatever happens on the way. */
async function expectRows(model: EngineModel): Promise<void> {
  const { labelLogp, topId } = await model.rows(sequences, TOP_K);
  for (const [n, { ids, positions }] of sequences.entries()) {
    const all = await rowsOf()([...ids], TOP_K);
    expect(labelLogp.subarray(150 * n, 150 * (n + 1))).toEqual(all.labelLogp.subarray(positions[0]! - 1));
    expect(topId.subarray(600 * n, 600 * (n + 1))).toEqual(all.topId.subarray(4 * (positions[0]! - 1)));
  }
}

/** Misbehaves at the requests for rows of these numbers, the first question among them not counted. */
function at(numbers: readonly number[], answer: Answer): NonNullable<StandInOptions["fault"]> {
  return ({ index, prompts, topK }) =>
    prompts !== null && topK === TOP_K && numbers.includes(index - FIRST) ? answer : undefined;
}
/** Requests for rows of the first question: width twice, and a label after two prompts. */
const FIRST = 2;

describe.each(KINDS)("a %s server", (kind) => {
  test("gets requests of a few conversations, no more at a time than it shall", async () => {
    const server = await standIn(kind);
    await expectRows(await open(kind, server.url));
    const asked = server.asked.filter(({ topK }) => topK === TOP_K);
    expect(asked.map(({ prompts }) => prompts!.length)).toEqual([6, 6]);
    expect(server.mostInFlight).toBeLessThanOrEqual(3);
  });

  test.each<[string, Answer]>([
    ["is busy", { status: 429, headers: { "retry-after": "0" }, body: { error: { message: "slow down" } } }],
    ["is away for a moment", { status: 503, headers: { "retry-after": "0" }, body: "no" }],
    ["cuts its reply", { cut: true }],
  ])("that %s is asked again", async (_, answer) => {
    const server = await standIn(kind, { fault: at([0], answer) });
    await expectRows(await open(kind, server.url));
    expect(server.asked.filter(({ topK }) => topK === TOP_K)).toHaveLength(3);
  });

  test.each<[string, (asked: Asked) => Answer | undefined]>([
    [
      "finds requests too long",
      ({ prompts }) =>
        prompts !== null && prompts.length > 2
          ? { status: 400, body: { error: { message: "the input exceeds 700 tokens" } } }
          : undefined,
    ],
    [
      "runs out of memory",
      ({ prompts }) =>
        prompts !== null && prompts.length > 2 ? { status: 500, body: { error: { message: "boom" } } } : undefined,
    ],
  ])("that %s gets halves, and then no larger ones", async (_, fault) => {
    const server = await standIn(kind, { fault });
    await expectRows(await open(kind, server.url));
    const sizes = server.asked.filter(({ topK }) => topK === TOP_K).map(({ prompts }) => prompts!.length);
    expect(sizes.filter((size) => size > 2).length).toBeLessThanOrEqual(4);
    expect(sizes.filter((size) => size <= 2).reduce((sum, size) => sum + size, 0)).toBe(12);
  });

  test("that finds one conversation too long is told by it, as is one beyond its context", async () => {
    const refuse = { status: 400, body: { error: { message: "longer than the model's context length" } } };
    const long = await standIn(kind, {
      fault: ({ prompts, topK }) => (prompts !== null && topK === TOP_K ? refuse : undefined),
    });
    const model = await open(kind, long.url);
    await expect(model.rows(sequences.slice(3, 4), TOP_K)).rejects.toMatchObject({
      code: "input",
      message: expect.stringMatching(
        /conversation 103 with its 300 tokens is too long for the server .*lower max_length/,
      ),
    });
    const short = await standIn(kind, { context: 300 });
    const shorter = await open(kind, short.url);
    await expect(shorter.rows(sequences.slice(3, 4), TOP_K)).rejects.toThrow(
      "conversation 103 has 300 tokens, but the server takes 299 and writes one; lower max_length to 299",
    );
    expect(short.asked.filter(({ topK }) => topK === TOP_K)).toHaveLength(0);
  });

  test("that says what cannot be is refused by conversation and position", async () => {
    const spoil = (_: Asked, reply: unknown): Answer => {
      const text = JSON.stringify(reply);
      const changed =
        kind === "vllm"
          ? text.replaceAll(/"logprob":-3\.\d*/g, '"logprob":0.7')
          : text.replaceAll(/\[-3\.\d*,/g, "[0.7,");
      return { json: JSON.parse(changed) as unknown };
    };
    const server = await standIn(kind, {
      fault: (asked, reply) => (asked.prompts !== null && asked.topK === TOP_K ? spoil(asked, reply) : undefined),
    });
    const model = await open(kind, server.url);
    await expect(model.rows(sequences.slice(5, 7), TOP_K)).rejects.toMatchObject({
      code: "failed",
      message: expect.stringMatching(
        /conversation 105, position \d+: the row has the log-probability 0\.7 for the token \d+/,
      ),
    });
  });

  test("with another model, tokenizer or vocabulary is refused with what differs", async () => {
    const refused = async (more: Partial<StandInOptions>, message: string | RegExp, model?: string) => {
      const { url } = await standIn(kind, more);
      await expect(open(kind, url, model === undefined ? {} : { model })).rejects.toMatchObject({
        code: "input",
        message: expect.stringMatching(message),
      });
    };
    await refused({}, /it has no model "qwen"; there are "stand-in"/, "qwen");
    await refused({ vocabulary: VOCABULARY - 1 }, /does not know the token 417, the last of the 418/);
    await refused({ vocabulary: VOCABULARY + 1 }, /knows the token 418, but config\.json tells of 418 tokens only/);
    const other = await loadTokenizer(join(golden, "models/llama3"));
    await refused({ tokenizer: other }, /cuts a text otherwise: .* where the tokenizer here has/);
    await refused(
      {
        rows: async (ids, topK) =>
          rowsOf()(
            ids.map(() => 1),
            topK,
          ),
      },
      /does not read prompts/,
    );
  });

  test("keeps every reply, and what is kept is not asked again; another model in its place is refused", async () => {
    const work = join(root, `${kind}-work`);
    const broken = { status: 400, body: { error: { message: "no more today" } } };
    const first = await standIn(kind, { fault: at([1], broken) });
    const model = await open(kind, first.url, { work });
    await expect(model.rows(sequences, TOP_K)).rejects.toMatchObject({
      code: "failed",
      message: expect.stringMatching(
        /no more today.*what came before is kept, and the same command goes on from there/,
      ),
    });
    const torn = await readFile(join(work, "rows.bin"));
    const second = await standIn(kind);
    await expectRows(await open(kind, second.url, { work }));
    expect(second.asked.filter(({ topK }) => topK === TOP_K).map(({ prompts }) => prompts!.length)).toEqual([6]);
    expect(torn.length).toBeGreaterThan(6 * 150 * 36);
    const third = await standIn(kind, { rows: rowsOf(1) });
    await expect(open(kind, third.url, { work })).rejects.toMatchObject({
      code: "input",
      message: expect.stringMatching(
        /is no longer the model "stand-in" that this folder was begun with: .* differ by 1\.\d\d nats/,
      ),
    });
  });

  test("that redirects never sees the key elsewhere", async () => {
    const seen: (string | undefined)[] = [];
    const elsewhere = createServer((incoming, outgoing) => {
      seen.push(incoming.headers.authorization);
      outgoing.end("{}");
    });
    await new Promise<void>((listening) => elsewhere.listen(0, "127.0.0.1", listening));
    opened.push(elsewhere);
    const location = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/v1/completions`;
    const server = await standIn(kind, { fault: () => ({ status: 307, headers: { location }, body: "" }) });
    await expect(open(kind, server.url, { key: "sk-0123456789" })).rejects.toThrow(
      /redirects to http:.*where no key is sent/,
    );
    expect(server.asked[0]!.headers.authorization).toBe("Bearer sk-0123456789");
    expect(seen).toEqual([]);
  });
});

describe("an address", () => {
  async function answering(routes: Readonly<Record<string, unknown>>): Promise<string> {
    const server = createServer((incoming, outgoing) => {
      const found = routes[incoming.url ?? ""];
      outgoing.writeHead(found === undefined ? 404 : 200, { "content-type": "application/json" });
      outgoing.end(JSON.stringify(found ?? { detail: "Not Found" }));
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    opened.push(server);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const list = (owner: string) => ({ "/v1/models": { data: [{ id: "m", owned_by: owner }] } });

  test("of another kind of server is told by its name, with what would do", async () => {
    const refused = async (routes: Readonly<Record<string, unknown>>, message: RegExp) =>
      expect(open("vllm", await answering(routes))).rejects.toMatchObject({
        code: "input",
        message: expect.stringMatching(message),
      });
    await refused(list("sglang"), /SGLang answers there, not vLLM; say engine sglang/);
    await refused(
      { ...list("llamacpp"), "/props": { default_generation_settings: {} } },
      /llama\.cpp's server answers there.*start the model with vLLM or SGLang/,
    );
    await refused(
      { ...list("m"), "/info": { model_id: "m", max_input_tokens: 4 } },
      /Text Generation Inference answers there/,
    );
    await refused({}, /there is no list of models: is this the address of vLLM/);
    const plain = { ...list("openai"), "/v1/completions": { choices: [{ index: 0, text: "x", logprobs: null }] } };
    await expect(open("vllm", await answering(plain))).rejects.toThrow(
      "is it a server without the log-probabilities of prompts?",
    );
  });

  test("that is none is refused before anything is asked", async () => {
    await expect(open("vllm", "no address")).rejects.toMatchObject({ code: "input" });
    await expect(open("vllm", "http://user:secret@127.0.0.1:1")).rejects.toThrow("keys come from the environment");
  });

  test("with fewer candidates than asked for says how to start the server", async () => {
    const refuse = {
      status: 400,
      body: { error: { message: "Requested prompt logprobs of 4, which is greater than max allowed: 3" } },
    };
    const server = await standIn("vllm", {
      fault: ({ prompts, topK }) => (prompts !== null && topK === TOP_K ? refuse : undefined),
    });
    const model = await open("vllm", server.url);
    await expect(model.rows(sequences, TOP_K)).rejects.toMatchObject({
      code: "input",
      message: expect.stringMatching(
        /does not give 4 candidates a row .*start vLLM with --max-logprobs 4, or lower top_k/,
      ),
    });
  });
});
