/**
 * An OpenAI-compatible chat server on the loopback interface for tests: `answer` says what each request gets, good or
 * bad. Nothing leaves the machine.
 *
 *   const server = await startServer(({ messages }) => ({ text: `You said ${messages.at(-1)?.content}` }));
 *   … { url: server.url, model: "any" } …
 *   await server.close();
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";

/** The request as the client sent it. */
export interface ServedRequest {
  /** 0, 1, … in the order of arrival, repeated attempts included. */
  readonly index: number;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly temperature?: number;
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly logprobs?: boolean;
  readonly top_logprobs?: number;
  readonly top_p?: number;
  readonly seed?: number;
}

/** A proper chat completion. */
export interface ServedReply {
  readonly text: string | null;
  /** Default `stop`. */
  readonly finish?: string;
  /** Per place of the answer, the most probable tokens with their log-probabilities (nats); without it, none. */
  readonly topLogprobs?: readonly (readonly { readonly token: string; readonly logprob: number }[])[];
  /** Default: a token a word of prompt and answer; null sends no usage. */
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
  readonly delayMs?: number;
}

/** Any other response; `body` goes out as it is, objects as JSON. */
export interface ServedResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly delayMs?: number;
}

export type Behaviour =
  | ServedReply
  | ServedResponse
  /** Never answers. */
  | { readonly hang: true }
  /** Breaks the connection: before a byte of the response, or in the middle of it. */
  | { readonly broken: "before" | "within" };

export interface TestServer {
  /** Base URL, `http://127.0.0.1:PORT/v1`. */
  readonly url: string;
  /** Everything that was asked, in order; empty where the server was started with `{ record: false }`. */
  readonly requests: ServedRequest[];
  /** Requests so far, and the most that were open at once. */
  readonly count: number;
  readonly mostInFlight: number;
  close(): Promise<void>;
}

export async function startServer(
  answer: (request: ServedRequest) => Behaviour | Promise<Behaviour>,
  { record = true }: { readonly record?: boolean } = {},
): Promise<TestServer> {
  const requests: ServedRequest[] = [];
  let count = 0;
  let inFlight = 0;
  let mostInFlight = 0;
  const server = createServer((incoming, response) => {
    inFlight++;
    mostInFlight = Math.max(mostInFlight, inFlight);
    response.once("close", () => {
      inFlight--;
    });
    const serve = async (): Promise<void> => {
      const body = JSON.parse(await textOf(incoming));
      const request: ServedRequest = { ...body, index: count++, path: incoming.url ?? "", headers: incoming.headers };
      if (record) requests.push(request);
      await respond(response, request, await answer(request));
    };
    serve().catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    requests,
    get count() {
      return count;
    },
    get mostInFlight() {
      return mostInFlight;
    },
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  let text = "";
  incoming.setEncoding("utf8");
  for await (const piece of incoming) text += piece;
  return text;
}

async function respond(response: ServerResponse, request: ServedRequest, behaviour: Behaviour): Promise<void> {
  if ("hang" in behaviour) return;
  if ("broken" in behaviour) {
    if (behaviour.broken === "within") {
      response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
      await new Promise((written) => response.write('{"choices": [', written));
    }
    response.destroy();
    return;
  }
  if (behaviour.delayMs !== undefined) await setTimeout(behaviour.delayMs);
  const { status, headers, body } = "status" in behaviour ? behaviour : completion(request, behaviour);
  const bytes = typeof body === "string" || body instanceof Uint8Array ? Buffer.from(body) : JSON.stringify(body ?? {});
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(bytes),
    ...headers,
  });
  response.end(bytes);
}

function completion({ model, messages, index }: ServedRequest, reply: ServedReply): ServedResponse {
  const words = (text: string): number => text.split(/\s+/).filter((word) => word !== "").length;
  const prompt_tokens = messages.reduce((total, { content }) => total + words(content), 0);
  const usage = reply.usage === undefined ? { prompt_tokens, completion_tokens: words(reply.text ?? "") } : reply.usage;
  const content = reply.topLogprobs?.map((top) => ({ ...(top[0] ?? { token: "", logprob: 0 }), top_logprobs: top }));
  return {
    status: 200,
    body: {
      id: `chatcmpl-${index}`,
      object: "chat.completion",
      model,
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: reply.text },
          finish_reason: reply.finish ?? "stop",
          logprobs: content === undefined ? null : { content },
        },
      ],
      ...(usage === null ? {} : { usage }),
    },
  };
}
