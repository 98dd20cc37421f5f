/** Limits of requests at a time, of time and of memory, which take seconds to meet. */
import { expect, test } from "vitest";
import { chat, endless, events, goldenServers, inFlight, until } from "./server.ts";

const { serve } = goldenServers();

test("what is more than the server takes at a time is asked to come again, and what takes too long is ended", async () => {
  const server = await serve({ limits: { inFlight: 1, seconds: 0.4 } });
  const first = server.post("/v1/chat/completions", endless);
  await until(async () => (await inFlight(server)) === 1);
  const second = await server.post("/v1/chat/completions", chat);
  expect([second.status, second.headers.get("retry-after")]).toEqual([429, "1"]);
  expect((await first).status).toBe(504);
  const all = await events(await server.post("/v1/chat/completions", { ...endless, stream: true }));
  expect(all.at(-2)).toMatchObject({ error: { code: "timeout", message: "the answer took longer than 0.4 seconds" } });
  expect(await inFlight(server)).toBe(0);
});

test("models share the memory there is: those that nobody uses make room", async () => {
  const server = await serve({ mostBytes: 2.5e6 }, ["mistral", "qwen2", "llama"]);
  const ask = (model: string, more = {}) => server.post("/v1/chat/completions", { ...chat, model, ...more });
  const loaded = async () => /^fusechat_models_loaded (\d+)$/m.exec(await (await server.get("/metrics")).text())![1];
  expect((await ask("mistral")).status).toBe(200);
  expect((await ask("qwen2")).status).toBe(200);
  expect(await loaded()).toBe("2");
  expect((await ask("llama")).status).toBe(200);
  expect(await loaded()).toBe("2");
  const leave = new AbortController();
  const busy = ["mistral", "llama"].map((model) =>
    server.post("/v1/chat/completions", { ...endless, model, stream: true }, {}, leave.signal),
  );
  await Promise.all(busy);
  const refused = await ask("qwen2");
  expect(refused.status).toBe(503);
  expect(await refused.json()).toMatchObject({ error: { code: "model_not_loaded" } });
  leave.abort();
  await until(async () => (await inFlight(server)) === 0);
  expect((await ask("qwen2")).status).toBe(200);
});
