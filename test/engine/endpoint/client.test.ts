import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { openEndpoint } from "#src/engine/endpoint/client.js";
import type { ChatRequest, EndpointOptions } from "#src/engine/endpoint/endpoint.js";
import { type Behaviour, type ServedRequest, startServer, type TestServer } from "./server.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const server of opened.splice(0)) await server.close();
});

async function serve(answer: (request: ServedRequest) => Behaviour | Promise<Behaviour>): Promise<TestServer> {
  const server = await startServer(answer);
  opened.push(server);
  return server;
}

function options({ url }: { url: string }, more: Partial<EndpointOptions> = {}): EndpointOptions {
  return { url, model: "m", concurrency: 4, timeoutSeconds: 5, attempts: 3, ...more };
}

const request: ChatRequest = {
  messages: [
    { role: "system", content: "Be kind." },
    { role: "user", content: "Grüß dich 😊" },
  ],
  temperature: 0.7,
  maxTokens: 12,
  topLogprobs: 0,
};

/** One chat with a server that behaves like this, always. */
async function chatWith(behaviour: Behaviour, more: Partial<EndpointOptions> = {}) {
  const server = await serve(() => behaviour);
  return { server, reply: openEndpoint(options(server, more)).chat(request) };
}

const busy = { status: 429, headers: { "retry-after": "0" }, body: { error: { message: "Slow down" } } };

test("a chat goes over the wire as the API says, and comes back as it is", async () => {
  const server = await serve(() => ({ text: "Grüß Gott 😊", usage: { prompt_tokens: 9, completion_tokens: 4 } }));
  const endpoint = openEndpoint(options(server, { apiKey: "sk-0123456789" }));
  expect(await endpoint.chat({ ...request, seed: 7, topP: 0.9 })).toEqual({
    text: "Grüß Gott 😊",
    finish: "stop",
    topLogprobs: null,
    promptTokens: 9,
    answerTokens: 4,
  });
  const { headers, ...body } = server.requests[0]!;
  expect(body).toEqual({
    index: 0,
    path: "/v1/chat/completions",
    model: "m",
    messages: request.messages,
    temperature: 0.7,
    max_tokens: 12,
    top_p: 0.9,
    seed: 7,
  });
  expect(headers).toMatchObject({ authorization: "Bearer sk-0123456789", "content-type": "application/json" });
  await openEndpoint(options(server)).chat(request);
  expect(server.requests[1]!.headers.authorization).toBeUndefined();
});

test("log-probabilities come place by place; a server that keeps them to itself gives null", async () => {
  const top = [
    [
      { token: "m", logprob: -0.1 },
      { token: "M", logprob: -2.5 },
    ],
    [{ token: ".", logprob: 0 }],
  ];
  const asked = { ...request, topLogprobs: 5 };
  const server = await serve(({ index }) => (index === 0 ? { text: "m.", topLogprobs: top } : { text: "m." }));
  const endpoint = openEndpoint(options(server));
  expect((await endpoint.chat(asked)).topLogprobs).toEqual(top);
  expect(server.requests[0]).toMatchObject({ logprobs: true, top_logprobs: 5 });
  expect((await endpoint.chat(asked)).topLogprobs).toBeNull();
  const empty = await serve(() => ({ text: "m.", topLogprobs: [[], []] }));
  expect((await openEndpoint(options(empty)).chat(asked)).topLogprobs).toBeNull();
});

test("a reply without content, usage or end is empty text and nulls", async () => {
  const { reply } = await chatWith({ status: 200, body: { choices: [{ message: { role: "assistant" } }] } });
  expect(await reply).toEqual({
    text: "",
    finish: "unknown",
    topLogprobs: null,
    promptTokens: null,
    answerTokens: null,
  });
});

test("half a character at the end of a cut answer becomes a replacement; queries of an address are kept", async () => {
  const body = '{"choices": [{"message": {"content": "a \\ud83d"}, "finish_reason": "length"}]}';
  const server = await serve(() => ({ status: 200, body }));
  const endpoint = openEndpoint(options({ url: `${server.url}/?api-version=1` }));
  expect(await endpoint.chat(request)).toMatchObject({ text: "a \ufffd", finish: "length" });
  expect(server.requests[0]!.path).toBe("/v1/chat/completions?api-version=1");
});

test.each([408, 409, 429, 500, 502, 503])("HTTP %i is tried again", async (status) => {
  const server = await serve(({ index }) => (index < 2 ? { ...busy, status } : { text: "at last" }));
  expect((await openEndpoint(options(server)).chat(request)).text).toBe("at last");
  expect(server.count).toBe(3);
});

test("broken and cut replies are tried again", async () => {
  const behaviours: Behaviour[] = [
    { broken: "before" },
    { broken: "within" },
    { status: 200, body: '{"choices": [{"message": {"cont' },
    { text: "whole" },
  ];
  const server = await serve(({ index }) => behaviours[index]!);
  expect((await openEndpoint(options(server, { attempts: 4 })).chat(request)).text).toBe("whole");
});

test("attempts are counted, waits double, and the last problem is told", async () => {
  const { server, reply } = await chatWith({ status: 500, body: "<html>\n  <b>Oh   no</b>\n</html>" });
  const started = performance.now();
  await expect(reply).rejects.toMatchObject({
    exitCode: 1,
    message:
      `${server.url}/chat/completions: the server is not able to answer ` +
      "(HTTP 500: <html> <b>Oh no</b> </html>), after 3 attempts",
  });
  expect(server.count).toBe(3);
  // 0.25 to 0.5 s, then 0.5 to 1 s.
  expect(performance.now() - started).toBeGreaterThan(740);
  expect(performance.now() - started).toBeLessThan(3000);
});

test("what the server asks to wait is waited, in seconds, milliseconds or as a date", async () => {
  const inOneSecond = new Date(Date.now() + 1999).toUTCString();
  const headers = [{ "retry-after": "0.3" }, { "retry-after-ms": "200" }, { "retry-after": inOneSecond }];
  for (const header of headers) {
    const arrivals: number[] = [];
    const server = await serve(({ index }) => {
      arrivals.push(performance.now());
      return index === 0 ? { status: 429, headers: header as Record<string, string> } : { text: "now" };
    });
    expect((await openEndpoint(options(server)).chat(request)).text).toBe("now");
    const waited = arrivals[1]! - arrivals[0]!;
    expect(waited).toBeGreaterThan("retry-after-ms" in header ? 190 : 290);
    expect(waited).toBeLessThan(2500);
  }
});

test("a server that asks to wait for hours is not waited for", async () => {
  const { server, reply } = await chatWith({ ...busy, headers: { "retry-after": "7200" } });
  await expect(reply).rejects.toMatchObject({
    exitCode: 1,
    message:
      `${server.url}/chat/completions: the server is not able to answer (HTTP 429: Slow down), ` +
      "and asks to wait 7200 s; run the same command again then",
  });
  expect(server.count).toBe(1);
});

test("an endpoint that hangs counts as failed after its time", async () => {
  const { server, reply } = await chatWith({ hang: true }, { timeoutSeconds: 0.1, attempts: 2 });
  await expect(reply).rejects.toMatchObject({
    exitCode: 1,
    message: `${server.url}/chat/completions: no reply within 0.1 s, after 2 attempts`,
  });
  expect(server.count).toBe(2);
});

test("an interruption ends a request in flight, a wait, and one that has no place yet, at once", async () => {
  const server = await serve(({ index }) =>
    index === 0 ? { status: 503, headers: { "retry-after": "60" } } : { hang: true },
  );
  const endpoint = openEndpoint(options(server, { concurrency: 2, timeoutSeconds: 60 }));
  const controller = new AbortController();
  const chats = [1, 2, 3].map(() => endpoint.chat(request, controller.signal));
  const started = performance.now();
  setTimeout(() => controller.abort(), 100);
  for (const chat of await Promise.allSettled(chats)) {
    expect(chat).toMatchObject({ status: "rejected", reason: { exitCode: 130 } });
  }
  expect(performance.now() - started).toBeLessThan(2000);
  expect(server.count).toBe(2);
});

test("never more requests than allowed are in flight, over connections that are kept", async () => {
  const ports = new Set<number>();
  const bare: Server = createServer((incoming, response) => {
    ports.add(incoming.socket.remotePort!);
    incoming.resume().on("end", () => {
      setTimeout(() => response.end(JSON.stringify({ choices: [{ message: { content: "ok" } }] })), 5);
    });
  });
  await new Promise<void>((listening) => bare.listen(0, "127.0.0.1", listening));
  opened.push({
    close: () => {
      bare.closeAllConnections();
      bare.close();
    },
  });
  const url = `http://127.0.0.1:${(bare.address() as AddressInfo).port}/v1/`;
  const endpoint = openEndpoint(options({ url }, { concurrency: 3 }));
  await Promise.all(Array.from({ length: 60 }, () => endpoint.chat(request)));
  expect(ports.size).toBe(3);
  const server = await serve(() => ({ text: "ok", delayMs: 5 }));
  const other = openEndpoint(options(server, { concurrency: 3 }));
  await Promise.all(Array.from({ length: 30 }, () => other.chat(request)));
  expect(server.mostInFlight).toBe(3);
});

test("a kept connection that the server has closed meanwhile costs no attempt", async () => {
  // A connection answers one request, and breaks with the second.
  const body = JSON.stringify({ choices: [{ message: { content: "ok" } }] });
  const reply = `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  let connections = 0;
  let broken = 0;
  const server = createTcpServer((socket) => {
    connections++;
    let answered = false;
    let received = "";
    socket.on("error", () => {});
    socket.setEncoding("utf8").on("data", (piece: string) => {
      received += piece;
      if (answered) {
        broken++;
        socket.resetAndDestroy();
      } else if (received.endsWith("}")) {
        answered = true;
        socket.write(reply);
      }
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  opened.push(server);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const endpoint = openEndpoint(options({ url }, { attempts: 1, concurrency: 1 }));
  for (let i = 0; i < 3; i++) expect((await endpoint.chat(request)).text).toBe("ok");
  expect([connections, broken]).toEqual([3, 2]);
});

test.each([
  [401, "the server refuses the key (HTTP 401: No entry); set the environment variable that holds it"],
  [403, "the server refuses the key (HTTP 403: No entry); set the environment variable that holds it"],
  [404, 'the server knows no model "m" or no chat completions (HTTP 404: No entry); check URL and model'],
])("HTTP %i ends everything with exit code 2 and a sentence", async (status, sentence) => {
  const body = { error: { message: "No entry" } };
  const { server, reply } = await chatWith({ status, body }, { apiKey: "sk-0123456789" });
  const message = `${server.url}/chat/completions: ${sentence}`;
  await expect(reply).rejects.toMatchObject({ exitCode: 2, message });
  expect(server.count).toBe(1);
});

test("a used-up quota, behind a 429 or not, is not asked again", async () => {
  const unpaid = await chatWith({ status: 402, body: "Pay first" });
  await expect(unpaid.reply).rejects.toMatchObject({
    exitCode: 1,
    message: `${unpaid.server.url}/chat/completions: the account's quota is used up (HTTP 402: Pay first)`,
  });
  const body = { error: { message: "You exceeded your current quota", code: "insufficient_quota" } };
  const { server, reply } = await chatWith({ status: 429, body });
  await expect(reply).rejects.toThrow("the account's quota is used up (HTTP 429: You exceeded your current quota)");
  expect(server.count).toBe(1);
});

test("a refused request is told in the server's own words, in one line, without the key", async () => {
  const apiKey = "sk-0123456789";
  const message = `context\nlength exceeded for key ${apiKey}`;
  const { reply } = await chatWith({ status: 400, body: { error: { message } } }, { apiKey });
  await expect(reply).rejects.toMatchObject({
    exitCode: 1,
    message: expect.stringMatching(
      /: the server refuses the request \(HTTP 400: context length exceeded for key \[key\]\)$/,
    ),
  });
  const cut = await chatWith({ status: 400, body: `${"x".repeat(195)}${apiKey}` }, { apiKey });
  await expect(cut.reply).rejects.toThrow(/: x{195}\[key\]\)$/);
  const long = await chatWith({ status: 400, body: "x".repeat(5000) });
  await expect(long.reply).rejects.toThrow(/: x{200}…\)$/);
});

test("redirects are not followed, because the key would go with them", async () => {
  const elsewhere = await serve(() => ({ text: "gotcha" }));
  const location = `${elsewhere.url}/chat/completions?token=secret`;
  const { server, reply } = await chatWith({ status: 307, headers: { location } }, { apiKey: "sk-0123456789" });
  await expect(reply).rejects.toMatchObject({
    exitCode: 2,
    message:
      `${server.url}/chat/completions: redirects to ${new URL(elsewhere.url).origin}, where no key is sent; ` +
      "give that address if it is the right one",
  });
  expect(elsewhere.count).toBe(0);
});

test.each([
  ["broken UTF-8", Buffer.from([0x7b, 0xff, 0xfe]), "expected a chat completion in UTF-8, found other bytes"],
  ["a page", "<html>Welcome</html>", "expected a chat completion in JSON, found <html>Welcome</html>"],
  ["another shape", { hello: 1 }, "expected a chat completion, found choices wrong"],
  ["no choice", { choices: [] }, "expected a chat completion, found choices wrong"],
  ["a number for text", { choices: [{ message: { content: 5 } }] }, "found choices.0.message.content wrong"],
  [
    "log-probabilities above 0",
    {
      choices: [
        {
          message: { content: "m" },
          logprobs: { content: [{ token: "m", logprob: 0, top_logprobs: [{ token: "m", logprob: 700 }] }] },
        },
      ],
    },
    "found choices.0.logprobs.content.0.top_logprobs.0.logprob wrong",
  ],
])("%s in place of a reply is told and not asked again", async (_, body, sentence) => {
  const { server, reply } = await chatWith({ status: 200, body });
  await expect(reply).rejects.toMatchObject({ exitCode: 1, message: expect.stringContaining(sentence) });
  expect(server.count).toBe(1);
});

test("a reply without an end is cut off", async () => {
  const { reply } = await chatWith({ status: 200, body: "x".repeat((1 << 25) + 1) });
  await expect(reply).rejects.toThrow("the reply is longer than 33554432 bytes");
});

test("a parameter that a model does not take is renamed or left out, once and for all, and told", async () => {
  const refuse = (param: string): Behaviour => ({
    status: 400,
    body: { error: { message: `Unsupported parameter: '${param}'`, param, code: "unsupported_parameter" } },
  });
  const server = await serve(({ max_tokens, temperature, seed }) => {
    if (max_tokens !== undefined) return refuse("max_tokens");
    if (temperature !== undefined) return refuse("temperature");
    if (seed === undefined) return { text: "fine" };
    // As a server says it that checks bodies with Pydantic.
    return { status: 422, body: { detail: [{ type: "extra_forbidden", loc: ["body", "seed"], msg: "Extra inputs" }] } };
  });
  const endpoint = openEndpoint(options(server, { attempts: 1 }));
  expect(await endpoint.chat({ ...request, seed: 3 })).toMatchObject({
    text: "fine",
    omitted: ["temperature", "seed"],
  });
  expect(server.count).toBe(4);
  expect(server.requests[3]).toMatchObject({ max_completion_tokens: 12 });
  expect(await endpoint.chat(request)).toMatchObject({ text: "fine", omitted: ["temperature"] });
  expect(server.count).toBe(5);
});

test("a server that refuses the same parameter for ever is not asked for ever", async () => {
  const body = { error: { message: "No", param: "max_tokens", code: "unsupported_parameter" } };
  const { server, reply } = await chatWith({ status: 400, body });
  await expect(reply).rejects.toThrow("the server refuses the request (HTTP 400: No)");
  expect(server.count).toBe(2);
});

test("log-probabilities cannot be done without", async () => {
  const body = { error: { message: "No logprobs here", param: "logprobs", code: "unsupported_parameter" } };
  const server = await serve(() => ({ status: 400, body }));
  const chat = openEndpoint(options(server)).chat({ ...request, topLogprobs: 5 });
  await expect(chat).rejects.toThrow("the server refuses the request (HTTP 400: No logprobs here)");
});

test("a server that is not there, and one that speaks no HTTP, are told as such", async () => {
  const server = await startServer(() => ({ text: "" }));
  await server.close();
  await expect(openEndpoint(options(server, { attempts: 1 })).chat(request)).rejects.toMatchObject({
    exitCode: 1,
    message: `${server.url}/chat/completions: nothing listens there; is the server running?`,
  });
  const other = createTcpServer((socket) => socket.end("SSH-2.0-OpenSSH\r\n"));
  await new Promise<void>((listening) => other.listen(0, "127.0.0.1", listening));
  opened.push(other);
  const port = (other.address() as AddressInfo).port;
  const plain = openEndpoint(options({ url: `http://127.0.0.1:${port}/v1` }, { attempts: 1 }));
  await expect(plain.chat(request)).rejects.toThrow("the reply is no HTTP");
  const secure = openEndpoint(options({ url: server.url.replace("http", "https") }, { attempts: 1 }));
  await expect(secure.chat(request)).rejects.toThrow("nothing listens there");
  const answering = await serve(() => ({ text: "" }));
  const tls = openEndpoint(options({ url: answering.url.replace("http", "https") }, { attempts: 1 }));
  await expect(tls.chat(request)).rejects.toThrow("no TLS connection; does the server speak http, not https?");
});

test("the environment's proxy is not asked", async () => {
  const proxy = await serve(() => ({ text: "from the proxy" }));
  const server = await serve(() => ({ text: "from the server" }));
  const before = process.env.http_proxy;
  process.env.http_proxy = proxy.url;
  try {
    expect((await openEndpoint(options(server)).chat(request)).text).toBe("from the server");
  } finally {
    if (before === undefined) delete process.env.http_proxy;
    else process.env.http_proxy = before;
  }
});

test("wrong options are refused before anything is sent, and a secret in them is not repeated", () => {
  const open = (more: Partial<EndpointOptions>) => () => openEndpoint(options({ url: "http://host/v1" }, more));
  expect(open({ url: "host" })).toThrow("host: expected the base URL of a server, such as http://127.0.0.1:8000/v1");
  expect(open({ url: "ftp://host/v1" })).toThrow("expected a URL that begins with http:// or https://, found ftp://");
  expect(open({ url: "https://me:secret@host/v1" })).toThrow(
    /^host: a URL must not hold a user name or key; keys come from the environment$/,
  );
  expect(open({ url: "https://host/v1?api_key=secret" })).toThrow(
    /^host: a URL must not hold a key, as api_key may be one; keys come from the environment$/,
  );
  expect(open({ apiKey: "sk-\n123" })).toThrow(
    /^the API key: expected printable ASCII, found white space or other characters in it; set its environment variable again$/,
  );
  expect(open({ apiKey: "" })).toThrow("the API key: expected printable ASCII, found nothing");
  expect(open({ concurrency: 0 })).toThrow("http://host/v1: concurrency: expected at least 1 request, found 0");
  expect(open({ attempts: 0.5 })).toThrow("attempts: expected at least 1, found 0.5");
  expect(open({ timeoutSeconds: 0 })).toThrow("timeout: expected seconds above 0, found 0");
  expect(open({ timeoutSeconds: Number.NaN })).toThrow("timeout: expected seconds above 0, found NaN");
});
