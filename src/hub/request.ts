/**
 * Requests to the Hub. Redirects are followed by hand, because the token goes to the endpoint alone and never to where it
 * sends us (weights lie on other hosts, behind addresses that carry their own signatures). Nothing is waited for longer
 * than the settings say, small replies have a limit, and what may pass is asked again.
 */

import { failure, throwIfInterrupted } from "../errors.ts";
import { type Table, tableOf } from "../table.ts";
import { type HubConnection, Unavailable } from "./connection.ts";
import { persist } from "./patience.ts";
import { refusalOf } from "./refusal.ts";
import type { HubSettings } from "./settings.ts";

/** A chain of more is a circle. */
const MOST_REDIRECTS = 10;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
/** Those that keep method and body. */
const SAME_METHOD: readonly number[] = [307, 308];
/** A page of a thousand files takes half a megabyte. */
const LONGEST_REPLY = 64e6;
const TRANSIENT: readonly number[] = [408, 425, 429, 500, 502, 503, 504];

/** A reply that is being read. */
export interface OpenReply {
  readonly status: number;
  readonly headers: Headers;
  /** Throws `Unavailable` where the body is cut, or nothing comes for too long. */
  chunks(): AsyncGenerator<Uint8Array>;
  /** Ends the reply where it is not read to its end. */
  close(): void;
}

/**
 * One attempt, through redirects, up to the headers of a good reply. Throws `Unavailable` where another attempt may
 * succeed, and a sentence about `what` where none will.
 */
export async function open(
  connection: HubConnection,
  what: string,
  address: string,
  init: RequestInit = {},
): Promise<OpenReply> {
  const { settings, signal } = connection;
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  signal?.addEventListener("abort", interrupt, { once: true });
  let overdue = false;
  let timer: NodeJS.Timeout | undefined;
  const expectSoon = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      overdue = true;
      stop.abort();
    }, settings.timeoutMs);
  };
  const close = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", interrupt);
    stop.abort();
  };
  const explain = (error: unknown): Error => {
    throwIfInterrupted(signal, what);
    if (overdue) return new Unavailable(`nothing came for ${settings.timeoutMs / 1000} s`);
    return connectionProblem(error);
  };
  try {
    throwIfInterrupted(signal, what);
    // The reply to an upload comes when all of it has gone.
    const answersSoon = init.body === undefined || init.body === null || typeof init.body === "string";
    let url = new URL(address);
    for (let redirects = 0; ; redirects++) {
      if (redirects > MOST_REDIRECTS) throw failure(what, `${settings.host} redirects in a circle`);
      if (answersSoon) expectSoon();
      let response: Response;
      try {
        response = await fetch(url, {
          ...init,
          headers: headersFor(url, init, settings),
          redirect: "manual",
          signal: stop.signal,
        });
      } catch (error) {
        throw explain(error);
      }
      const location = REDIRECTS.includes(response.status) ? response.headers.get("location") : null;
      if (location === null) {
        if (!response.ok) throw await problemOf(response, what, connection);
        return { status: response.status, headers: response.headers, chunks: () => read(response), close };
      }
      await response.body?.cancel();
      const next = URL.canParse(location, url.href) ? new URL(location, url) : null;
      if (next === null || !/^https?:$/.test(next.protocol)) {
        throw failure(what, `${url.host} redirects to an address that is none`);
      }
      const isPlain = init.method === undefined || init.method === "GET" || init.method === "HEAD";
      if (!isPlain && (next.origin !== url.origin || !SAME_METHOD.includes(response.status))) {
        throw failure(what, `${url.host} sends an upload elsewhere`);
      }
      url = next;
    }
  } catch (error) {
    close();
    throw error;
  }

  async function* read(response: Response): AsyncGenerator<Uint8Array> {
    try {
      expectSoon();
      for await (const chunk of response.body ?? []) {
        clearTimeout(timer);
        yield chunk as Uint8Array;
        expectSoon();
      }
    } catch (error) {
      throw explain(error);
    } finally {
      close();
    }
  }
}

/** The token goes to the endpoint, and to nobody else. */
function headersFor(url: URL, init: RequestInit, { endpoint, token }: HubSettings): Headers {
  const headers = new Headers(init.headers);
  // Sizes and ranges are those of the file itself.
  headers.set("accept-encoding", "identity");
  headers.delete("authorization");
  if (token !== undefined && url.origin === new URL(endpoint).origin) headers.set("authorization", `Bearer ${token}`);
  return headers;
}

/** Why a reply is no good, as an error. */
async function problemOf(response: Response, what: string, { settings }: HubConnection): Promise<Error> {
  const { status, headers } = response;
  if (TRANSIENT.includes(status)) {
    await response.body?.cancel().catch(() => {});
    const problem = status === 429 ? "too many requests" : `it answers ${status}`;
    return new Unavailable(problem, { retryAfter: retryAfterOf(headers) });
  }
  const text = await firstText(response);
  return refusalOf(
    { status, code: headers.get("x-error-code"), text: headers.get("x-error-message") ?? text },
    what,
    settings,
  );
}

/** Longest text of an error that is looked at. */
const LONGEST_ERROR = 10_000;

async function firstText(response: Response): Promise<string> {
  let text = "";
  try {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      if (text.length > LONGEST_ERROR) break;
    }
  } catch {
    // Without its text the status says enough.
  }
  return text.slice(0, LONGEST_ERROR);
}

/** Seconds, of `Retry-After` (a number or a date) or of the Hub's own `RateLimit: "api";r=0;t=55`. */
function retryAfterOf(headers: Headers): number | undefined {
  const after = headers.get("retry-after");
  const seconds = after === null ? /;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1] : after;
  if (seconds === undefined) return undefined;
  const value = /^\d+(\.\d+)?$/.test(seconds) ? Number(seconds) : (Date.parse(seconds) - Date.now()) / 1000;
  return value >= 0 ? value : undefined;
}

/** What the codes of Node and its client mean. */
const CONNECTION_PROBLEMS: Table<string> = tableOf({
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the connection broke",
  EPIPE: "the connection broke",
  UND_ERR_SOCKET: "the connection broke",
  ETIMEDOUT: "no connection in time",
  UND_ERR_CONNECT_TIMEOUT: "no connection in time",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  EAI_AGAIN: "its name cannot be looked up",
  ENOTFOUND: "its name cannot be looked up",
});

/** A wrong name or certificate is wrong the next time too. */
const FINAL: readonly string[] = ["ENOTFOUND"];

function connectionProblem(error: unknown): Unavailable {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = "code" in cause ? String(cause.code) : "";
    const known = Object.hasOwn(CONNECTION_PROBLEMS, code) ? CONNECTION_PROBLEMS[code] : undefined;
    if (known !== undefined) return new Unavailable(known, { isFinal: FINAL.includes(code) });
    if (/CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ALTNAME/.test(code)) {
      return new Unavailable("its certificate is refused", { isFinal: true });
    }
    if (cause.cause === undefined) return new Unavailable(cause.message);
  }
  return new Unavailable(String(error));
}

/** A `fetch` for `@huggingface/hub`: whole small replies, asked for again where that may help. It needs no token. */
export function smallFetch(connection: HubConnection, what: string): typeof fetch {
  return (input, init) =>
    persist(connection, what, async () => {
      const address = input instanceof Request ? input.url : String(input);
      const reply = await open(connection, what, address, init);
      const bytes = await readReply(reply, what, LONGEST_REPLY);
      const hasBody = ![204, 205].includes(reply.status);
      return new Response(hasBody ? bytes : null, { status: reply.status, headers: reply.headers });
    });
}

/** A whole body of at most `longest` bytes. */
async function readReply(reply: OpenReply, what: string, longest: number): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of reply.chunks()) {
    length += chunk.byteLength;
    if (length > longest) throw failure(what, `the server's reply is longer than ${longest} bytes`);
    pieces.push(chunk);
  }
  return new Uint8Array(Buffer.concat(pieces, length));
}
