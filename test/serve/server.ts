/** A server of golden models on the loopback interface, and questions to it. */

import type { Engine } from "#src/engine/engine.js";
import { modelFacts } from "#src/engine/index.js";
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
