/** A server of golden models on the loopback interface, and questions to it. */

import { setTimeout as wait } from "node:timers/promises";
import { afterAll, afterEach, beforeAll } from "vitest";
import type { Engine } from "#src/engine/engine.js";
import { createEngine, modelFacts } from "#src/engine/index.js";
import { type RunningServer, type ServeOptions, startServer } from "#src/serve/serve.js";
import { goldenFolder } from "../engine/onnx/golden.ts";

export interface TestServer extends RunningServer {
  /** What was the server's own fault. */
  readonly reported: unknown[];
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(path: string, body: unknown, headers?: Record<string, string>, signal?: AbortSignal): Promise<Response>;
}

/** Models by the names of their golden folders. */
export async function serveGolden(
  engine: Engine,
  names: readonly string[],
  more: Partial<ServeOptions> = {},
): Promise<TestServer> {
  const reported: unknown[] = [];
  const models = [];
  for (const name of names) {
    const folder = goldenFolder(name);
    models.push({ name, folder, context: (await modelFacts("onnx", folder)).maxPositions });
  }
  const server = await startServer({
    models,
    engine,
    host: "127.0.0.1",
    port: 0,
    token: null,
    mostBytes: 1e9,
    neededBytes: async () => 1e6,
    report: (error) => void reported.push(error),
    ...more,
  });
  return {
    ...server,
    reported,
    get: (path, headers = {}) => fetch(`${server.url}${path}`, { headers }),
    post: (path, body, headers = {}, signal) =>
      fetch(`${server.url}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...(signal === undefined ? {} : { signal }),
      }),
  };
}

/** The events of a stream, `[DONE]` as it stands. */
export async function events(response: Response): Promise<unknown[]> {
  return (await response.text())
    .split("\n\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/^data: /, ""))
    .map((line) => (line === "[DONE]" ? line : JSON.parse(line)));
}

export const chat = { model: "mistral", messages: [{ role: "user", content: "Hello" }], max_tokens: 4, temperature: 0 };
/** Goes on until somebody ends it. */
export const endless = { ...chat, max_tokens: 3000, ignore_eos: true };

export interface GoldenServers {
  /** Of all the tests of a file. */
  engine(): Engine;
  /** A server that is closed after the test. */
  serve(more?: Partial<ServeOptions>, names?: readonly string[]): Promise<TestServer>;
}

/** For a whole file of tests: called at its top. */
export function goldenServers(): GoldenServers {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createEngine({ kind: "onnx", threads: 1 });
  });
  afterAll(() => engine.dispose());
  const opened: TestServer[] = [];
  afterEach(async () => {
    for (const server of opened.splice(0)) await server.close();
  });
  return {
    engine: () => engine,
    serve: async (more, names = ["mistral"]) => {
      const server = await serveGolden(engine, names, more);
      opened.push(server);
      return server;
    },
  };
}

export async function inFlight(server: TestServer, headers = {}): Promise<number> {
  const text = await (await server.get("/metrics", headers)).text();
  return Number(/^fusechat_requests_in_flight (\d+)$/m.exec(text)![1]);
}

export async function until(isTrue: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isTrue()); tries++) {
    if (tries > 400) throw new Error("it did not come true within 20 seconds");
    await wait(50);
  }
}
