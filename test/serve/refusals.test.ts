/** What a server refuses, and that nothing of it is left behind. */
import { connect } from "node:net";
import { expect, test } from "vitest";
import { startServer } from "#src/serve/serve.js";
import { chat, endless, goldenServers, inFlight, serveGolden, until } from "./server.ts";

const { engine, serve } = goldenServers();

test("a wrong request is told by its parameter, and takes nothing", async () => {
  const server = await serve({ limits: { answerTokens: 4000, bodyBytes: 50_000 } });
  const refusal = async (body: unknown, path = "/v1/chat/completions"): Promise<object> => {
    const response = await server.post(path, body);
    const { error } = (await response.json()) as {
      error: { message: string; param: string | null; code: string | null };
    };
    return { status: response.status, ...error };
  };
  expect(await refusal("{")).toEqual({
    status: 400,
    message: "the body is not JSON",
    type: "invalid_request_error",
    param: null,
    code: "invalid_json",
  });
  expect(await refusal({ ...chat, temprature: 1 })).toMatchObject({
    status: 400,
    message: "temprature: is no parameter that this server knows",
    param: "temprature",
    code: "unsupported_parameter",
  });
  expect(await refusal({ ...chat, presence_penalty: 1 })).toMatchObject({
    status: 400,
    message: "presence_penalty: is not supported; leave it out",
    param: "presence_penalty",
    code: "unsupported_value",
  });
  const none = { ...chat, presence_penalty: 0, user: "me", max_tokens: 0 };
  expect(await refusal(none)).toMatchObject({ status: 400, param: "max_tokens", code: "invalid_value" });
  const told = async (body: object, param: string, message: string, path?: string): Promise<void> => {
    const type = "invalid_request_error";
    expect(await refusal(body, path)).toEqual({ status: 400, type, param, message, code: "invalid_value" });
  };
  await told(none, "max_tokens", "max_tokens: expected a number of at least 1, found 0");
  await told({ ...chat, n: 1.5 }, "n", "n: expected a whole number, found 1.5");
  await told({ ...chat, stop: 5 }, "stop", "stop: expected a text or a list, found 5");
  await told({ ...chat, stop: [".", ""] }, "stop.1", 'stop.1: expected a text of at least 1 character, found ""');
  await told({ messages: [] }, "model", "model: expected a text, found nothing");
  const role = 'messages.0.role: expected "system", "developer", "user", "assistant" or "tool", found "bot"';
  await told({ ...chat, messages: [{ role: "bot", content: "x" }] }, "messages.0.role", role);
  const mixed = { model: "mistral", prompt: [1, "a"] };
  await told(mixed, "prompt.1", 'prompt.1: expected a number, found "a"', "/v1/completions");
  expect(await refusal({ ...chat, top_logprobs: 2 })).toMatchObject({ status: 400, param: "top_logprobs" });
  expect(await refusal({ ...chat, model: "mistrl" })).toMatchObject({
    status: 404,
    message: 'the model "mistrl" is not served; did you mean "mistral"? (there is: mistral)',
    param: "model",
    code: "model_not_found",
  });
  const says = (role: string, content: string) => ({ ...chat, messages: [{ role, content }] });
  expect(await refusal(says("user", "a ".repeat(9000)))).toMatchObject({
    status: 400,
    param: "messages",
    code: "context_length_exceeded",
  });
  const long = { model: "mistral", prompt: Array(5000).fill(5) };
  expect(await refusal(long, "/v1/completions")).toMatchObject({ param: "prompt", code: "context_length_exceeded" });
  expect(await refusal(says("user", "a".repeat(60_000)))).toMatchObject({ status: 413 });
  expect(await refusal({ ...chat, messages: [] })).toMatchObject({ status: 400, param: "messages" });
  expect(await refusal(says("tool", "x"))).toMatchObject({ status: 400, param: "messages.0.tool_call_id" });
  expect(await refusal({ model: "mistral", prompt: [1, 479] }, "/v1/completions")).toMatchObject({
    status: 400,
    message: "prompt: contains the token id 479, but those of the vocabulary end at 478",
    param: "prompt",
  });
  const many = { model: "mistral", prompt: Array(20).fill("a"), n: 7 };
  expect(await refusal(many, "/v1/completions")).toMatchObject({ status: 400, param: "n" });
  expect(await refusal({ model: "mistral", prompt: "" }, "/v1/completions")).toMatchObject({ status: 400 });
  expect(await refusal({}, "/v1/../../etc/passwd")).toMatchObject({ status: 404, code: "unknown_url" });
  expect(await inFlight(server)).toBe(0);
  expect(server.reported).toEqual([]);
});

test("only who has the token is answered, and the health of the server is no secret", async () => {
  const server = await serve({ token: "s3cret" });
  for (const path of ["/v1/models", "/metrics"]) {
    expect((await server.get(path)).status).toBe(401);
    expect((await server.get(path, { authorization: "Bearer s3cre" })).status).toBe(401);
    expect((await server.get(path, { authorization: "Bearer s3cret" })).status).toBe(200);
  }
  expect((await server.post("/v1/chat/completions", chat)).status).toBe(401);
  expect((await server.get("/health")).status).toBe(200);
});

test("without a token others cannot reach it, be it by network, by a page or by a name that leads here", async () => {
  const server = await serve();
  const options = {
    models: [],
    engine: engine(),
    port: 0,
    token: null,
    mostBytes: 1,
    neededBytes: async () => 1,
    report: () => {},
  };
  await expect(startServer({ ...options, host: "0.0.0.0" })).rejects.toThrow(
    "--host: 0.0.0.0 can be reached by others; add --token TOKEN",
  );
  expect((await server.get("/v1/models", { origin: "https://elsewhere.example" })).status).toBe(403);
  expect((await server.get("/v1/models", { origin: server.url })).status).toBe(200);
  const reply = await new Promise<string>((resolve) => {
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    socket.write("GET /v1/models HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n");
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    socket.on("close", () => resolve(text));
  });
  expect(reply).toMatch(/^HTTP\/1.1 403 /);
});

test("pages of other origins may ask where that is wanted", async () => {
  const server = await serve({ origins: ["https://chat.example"] });
  const response = await server.get("/v1/models", { origin: "https://chat.example" });
  expect(response.headers.get("access-control-allow-origin")).toBe("https://chat.example");
  expect((await server.get("/v1/models", { origin: "https://other.example" })).status).toBe(403);
});

test("a client that goes ends its work, streamed or not", async () => {
  const server = await serve();
  for (const stream of [true, false]) {
    const leave = new AbortController();
    const asked = server.post("/v1/chat/completions", { ...endless, stream }, {}, leave.signal);
    asked.catch(() => {});
    await until(async () => (await inFlight(server)) === 1);
    leave.abort();
    await until(async () => (await inFlight(server)) === 0);
  }
  expect(server.reported).toEqual([]);
});

test("a server that closes answers what it has begun, and takes nothing more", async () => {
  const server = await serveGolden(engine(), ["mistral"]);
  const begun = server.post("/v1/chat/completions", { ...endless, max_tokens: 200 });
  await until(async () => (await inFlight(server)) === 1);
  await server.close();
  const reply = (await (await begun).json()) as { usage: { completion_tokens: number } };
  expect(reply.usage.completion_tokens).toBe(200);
  await expect(server.get("/health")).rejects.toThrow();
});
