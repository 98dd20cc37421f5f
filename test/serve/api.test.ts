/** The routes against the engine's own figures, and as other clients ask for them. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readStopIds } from "#src/data/stop-ids.js";
import { type ConversationTokeniser, openConversationTokeniser } from "#src/data/tokenise.js";
import { openEndpoint } from "#src/engine/endpoint/client.js";
import type { Engine, EngineModel } from "#src/engine/engine.js";
import { createEngine } from "#src/engine/index.js";
import { goldenFolder } from "../engine/onnx/golden.ts";
import { events, serveGolden, type TestServer } from "./server.ts";

const folder = goldenFolder("qwen2");
const messages = [{ role: "user" as const, content: "Is water wet?" }];
const greedy = { model: "qwen2", messages, temperature: 0, max_tokens: 12 };

let engine: Engine;
let model: EngineModel;
let tokeniser: ConversationTokeniser;
let server: TestServer;
beforeAll(async () => {
  engine = await createEngine({ kind: "onnx", threads: 1 });
  model = await engine.open(folder);
  tokeniser = await openConversationTokeniser(folder, { maxLength: 4096 });
  server = await serveGolden(engine, ["qwen2", "mistral"]);
});
afterAll(async () => {
  await server.close();
  await tokeniser.dispose();
  await model.dispose();
  await engine.dispose();
});

/** What the engine itself answers to the messages, greedily. */
async function ownAnswer(maxTokens: number): Promise<{ ids: number[]; prompt: Int32Array; text: string }> {
  const { ids: prompt } = await tokeniser.prompt(messages);
  const stopIds = await readStopIds(folder, tokeniser);
  const options = {
    maxTokens,
    stopIds,
    temperature: 0,
    topP: 1,
    topK: 0,
    seed: "",
    bannedFrom: tokeniser.tokenizer.size,
  };
  const [ids] = await model.generate([prompt], options);
  return { ids: [...ids!], prompt, text: tokeniser.tokenizer.decode(ids!) };
}

/** Log-probabilities of all ids but the first. */
async function ownRows(ids: readonly number[], topK: number) {
  const positions = Int32Array.from({ length: ids.length - 1 }, (_, index) => index + 1);
  return model.rows([{ ids: Int32Array.from(ids), positions }], topK);
}

test("lists its models and is well", async () => {
  expect(await (await server.get("/health")).json()).toEqual({ status: "ok" });
  const { data } = (await (await server.get("/v1/models")).json()) as { data: { id: string; max_model_len: number }[] };
  expect(data.map(({ id }) => id)).toEqual(["qwen2", "mistral"]);
  expect(data[1]!.max_model_len).toBe(4096);
});

describe("chat completions", () => {
  test("are what the engine answers to the rendered conversation", async () => {
    const own = await ownAnswer(12);
    const reply = await (await server.post("/v1/chat/completions", greedy)).json();
    expect(reply).toMatchObject({
      object: "chat.completion",
      model: "qwen2",
      choices: [{ index: 0, message: { role: "assistant", content: own.text }, logprobs: null }],
      usage: {
        prompt_tokens: own.prompt.length,
        completion_tokens: own.ids.length,
        total_tokens: own.prompt.length + own.ids.length,
      },
    });
  });

  test("come piece by piece with the same text, the usage and a mark at the end", async () => {
    const own = await ownAnswer(12);
    const body = { ...greedy, stream: true, stream_options: { include_usage: true } };
    const all = await events(await server.post("/v1/chat/completions", body));
    expect(all.at(-1)).toBe("[DONE]");
    const chunks = all.slice(0, -1) as {
      choices: { delta: { content?: string }; finish_reason: string | null }[];
      usage: { completion_tokens: number } | null;
    }[];
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe(own.text);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: own.ids.length } });
    expect(chunks.filter(({ choices }) => choices[0]?.finish_reason)).toHaveLength(1);
  });

  test("have the log-probabilities of the engine's rows", async () => {
    const { ids, prompt } = await ownAnswer(8);
    const rows = await ownRows([...prompt, ...ids], model.vocabulary);
    const first = prompt.length - 1;
    const body = { ...greedy, max_tokens: 8, logprobs: true, top_logprobs: 3 };
    const reply = (await (await server.post("/v1/chat/completions", body)).json()) as {
      choices: { logprobs: { content: { logprob: number; top_logprobs: { logprob: number; token: string }[] }[] } }[];
    };
    const { content } = reply.choices[0]!.logprobs;
    expect(content).toHaveLength(ids.length);
    content.forEach(({ logprob, top_logprobs: top }, index) => {
      expect(logprob).toBeCloseTo(rows.labelLogp[first + index]!, 4);
      // This model's head is wider than its tokenizer; what has no text is never drawn, and has its probability.
      const at = (first + index) * model.vocabulary;
      const drawable = [...rows.topLogp.slice(at, at + model.vocabulary)].filter(
        (_, k) => rows.topId[at + k]! < tokeniser.tokenizer.size,
      );
      expect(top).toHaveLength(3);
      top.forEach((one, k) => {
        expect(one.logprob).toBeCloseTo(drawable[k]!, 4);
      });
      // Drawn greedily: the token itself is the most probable one.
      expect(top[0]!.logprob).toBe(logprob);
    });
  });

  test("with a seed are the same again, and n of them differ", async () => {
    const body = { ...greedy, temperature: 1.5, seed: 7, n: 3, max_tokens: 10 };
    const ask = async (): Promise<string[]> => {
      const reply = (await (await server.post("/v1/chat/completions", body)).json()) as {
        choices: { message: { content: string } }[];
      };
      return reply.choices.map(({ message }) => message.content);
    };
    const texts = await ask();
    expect(new Set(texts).size).toBe(3);
    expect(await ask()).toEqual(texts);
  });

  test("end before a stop string", async () => {
    const { text } = await ownAnswer(12);
    const stop = text.slice(5, 7);
    const reply = await (await server.post("/v1/chat/completions", { ...greedy, stop: [stop, "no such text"] })).json();
    expect(reply).toMatchObject({
      choices: [{ message: { content: text.slice(0, text.indexOf(stop)) }, finish_reason: "stop" }],
    });
  });

  test("do not compute again what a conversation begins with", async () => {
    const long = {
      ...greedy,
      model: "mistral",
      messages: [{ role: "user", content: "Tell me more about it. ".repeat(9) }],
    };
    const ask = async () =>
      (await (await server.post("/v1/chat/completions", long)).json()) as {
        choices: { message: { content: string } }[];
        usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } };
      };
    const first = await ask();
    const second = await ask();
    expect(first.usage.prompt_tokens_details.cached_tokens).toBe(0);
    expect(second.usage.prompt_tokens_details.cached_tokens).toBe(second.usage.prompt_tokens - 1);
    expect(second.choices).toEqual(first.choices);
  });
});

describe("completions", () => {
  test("echo a prompt with the log-probabilities that rows have, for texts and ids alike", async () => {
    const text = "one two three four one two three four";
    const { ids } = await tokeniser.tokenizer.encode(text);
    const rows = await ownRows([...ids], 1);
    const body = { model: "qwen2", prompt: [text], max_tokens: 1, temperature: 0, logprobs: 1, echo: true };
    const [ofText, ofIds] = (await Promise.all(
      [body, { ...body, prompt: [[...ids]] }].map(async (one) => (await server.post("/v1/completions", one)).json()),
    )) as {
      choices: {
        text: string;
        logprobs: { token_logprobs: (number | null)[]; tokens: string[]; text_offset: number[] };
      }[];
    }[];
    const { text: echoed, logprobs } = ofText!.choices[0]!;
    expect(echoed.startsWith(text)).toBe(true);
    expect(logprobs.token_logprobs).toHaveLength(ids.length + 1);
    expect(logprobs.token_logprobs[0]).toBeNull();
    rows.labelLogp.forEach((logp, row) => {
      expect(logprobs.token_logprobs[row + 1]).toBeCloseTo(logp, 5);
    });
    expect(logprobs.tokens.slice(0, ids.length).join("")).toBe(text);
    expect(logprobs.text_offset.slice(0, 3)).toEqual([
      0,
      logprobs.tokens[0]!.length,
      logprobs.tokens[0]!.length + logprobs.tokens[1]!.length,
    ]);
    const again = ofIds!.choices[0]!;
    expect(again.text).toBe(echoed);
    expect(again.logprobs.tokens).toEqual(logprobs.tokens);
    expect(again.logprobs.text_offset).toEqual(logprobs.text_offset);
    // What is kept of the first prompt is not computed again; sums that are cut otherwise differ by 5e-7 on some processors.
    again.logprobs.token_logprobs.slice(1).forEach((logp, n) => {
      expect(logp).toBeCloseTo(logprobs.token_logprobs[n + 1]!, 5);
    });
  });

  test("give the most probable tokens of a prompt with their ranks", async () => {
    const ids = [...(await tokeniser.prompt(messages)).ids];
    const body = { model: "qwen2", prompt: ids, max_tokens: 1, temperature: 0, prompt_logprobs: 4 };
    const reply = (await (await server.post("/v1/completions", body)).json()) as {
      choices: { prompt_logprobs: (Record<string, { logprob: number; rank: number }> | null)[] }[];
    };
    const list = reply.choices[0]!.prompt_logprobs;
    expect(list).toHaveLength(ids.length);
    expect(list[0]).toBeNull();
    const logits = await model.logits(Int32Array.from(ids));
    ids.slice(1).forEach((id, row) => {
      const entries = list[row + 1]!;
      const own = logits.subarray(row * model.vocabulary, (row + 1) * model.vocabulary);
      const rank = 1 + own.reduce((ahead, logit) => ahead + Number(logit > own[id]!), 0);
      expect(entries[String(id)]!.rank).toBe(rank);
      expect(Object.keys(entries)).toHaveLength(rank <= 4 ? 4 : 5);
    });
  });

  test("answer every prompt n times in their order, whole or in pieces", async () => {
    const body = { model: "qwen2", prompt: ["one two", "three"], n: 2, max_tokens: 5, temperature: 1, seed: 3 };
    const whole = (await (await server.post("/v1/completions", body)).json()) as {
      choices: { text: string; index: number }[];
    };
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    const texts = ["", "", "", ""];
    const all = await events(await server.post("/v1/completions", { ...body, stream: true }));
    for (const event of all.slice(0, -1) as { choices: { index: number; text: string }[] }[]) {
      for (const { index, text } of event.choices) texts[index] += text;
    }
    expect(texts).toEqual(whole.choices.map(({ text }) => text));
  });
});

test("texts become tokens and tokens texts", async () => {
  const text = "Grüße, 你好";
  const { ids } = await tokeniser.tokenizer.encode(text);
  const reply = (await (await server.post("/tokenize", { model: "qwen2", prompt: text })).json()) as {
    tokens: number[];
  };
  expect(reply.tokens).toEqual([...ids]);
  const back = await (await server.post("/detokenize", { model: "qwen2", tokens: [...ids] })).json();
  expect(back).toEqual({ prompt: text });
  const chat = await (await server.post("/tokenize", { model: "qwen2", messages })).json();
  expect(chat).toMatchObject({ tokens: [...(await tokeniser.prompt(messages)).ids], count: expect.any(Number) });
});

describe("other clients", () => {
  test("openai's package gets answers whole and in pieces", async () => {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none" });
    const own = await ownAnswer(12);
    const whole = await client.chat.completions.create(greedy);
    expect(whole.choices[0]!.message.content).toBe(own.text);
    let text = "";
    for await (const chunk of await client.chat.completions.create({ ...greedy, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? "";
    }
    expect(text).toBe(own.text);
    expect((await client.models.list()).data.map(({ id }) => id)).toContain("mistral");
    await expect(client.chat.completions.create({ ...greedy, model: "qwen" })).rejects.toMatchObject({
      status: 404,
      code: "model_not_found",
    });
  });

  test("our own client of judges reads answers and log-probabilities", async () => {
    const endpoint = openEndpoint({
      url: `${server.url}/v1`,
      model: "qwen2",
      concurrency: 2,
      timeoutSeconds: 30,
      attempts: 1,
    });
    const own = await ownAnswer(6);
    const reply = await endpoint.chat({ messages, temperature: 0, maxTokens: 6, topLogprobs: 2, seed: 1, topP: 1 });
    expect(reply).toMatchObject({ text: own.text, promptTokens: own.prompt.length, answerTokens: own.ids.length });
    expect(reply.topLogprobs!.every((top) => top.length === 2)).toBe(true);
  });
});
