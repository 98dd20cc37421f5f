/**
 * One HTTP request on Node's own client: a deadline over the whole exchange, a limit on the reply, and nothing automatic.
 * Redirects are not followed, because the key would go with them; proxies are not asked; a reply cut short is an error.
 */

import { type Agent, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";
import { type Table, tableOf } from "../../table.ts";

export interface ExchangeOptions {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** null asks with GET. */
  readonly body: string | null;
  readonly agent: Agent;
  readonly timeoutSeconds: number;
  /** Longest reply, bytes. */
  readonly longest: number;
  readonly signal?: AbortSignal;
}

export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

/** Why there is no reply, in words, and whether another attempt may have one. */
export interface NoReply {
  readonly problem: string;
  readonly mayPass: boolean;
}

/** What Node's error codes mean; others are told by their own message, and may pass. */
const CONNECTION_ERRORS: Table<NoReply> = tableOf({
  ECONNREFUSED: { problem: "nothing listens there; is the server running?", mayPass: true },
  ECONNRESET: { problem: "the connection broke before the reply was whole", mayPass: true },
  EPIPE: { problem: "the connection broke before the reply was whole", mayPass: true },
  ETIMEDOUT: { problem: "no connection in time", mayPass: true },
  EHOSTUNREACH: { problem: "the host cannot be reached", mayPass: true },
  ENETUNREACH: { problem: "the network cannot be reached", mayPass: true },
  EAI_AGAIN: { problem: "the host's name cannot be looked up now", mayPass: true },
  ENOTFOUND: { problem: "no host of this name; check the URL", mayPass: false },
  EPROTO: { problem: "no TLS connection; does the server speak http, not https?", mayPass: false },
  ERR_SSL_WRONG_VERSION_NUMBER: {
    problem: "no TLS connection; does the server speak http, not https?",
    mayPass: false,
  },
  HPE_INVALID_CONSTANT: { problem: "the reply is no HTTP; does the server speak https, not http?", mayPass: false },
});

/** The whole reply, whatever its status, or why there is none. Never rejects; aborted, it says so at once. */
export async function exchange(options: ExchangeOptions): Promise<HttpReply | NoReply> {
  const first = await attempt(options);
  // A kept connection that the server closed meanwhile says nothing about the server: ask once more on another.
  return "staleConnection" in first ? attempt({ ...options, agent: withoutKept(options.agent) }) : first;
}

function withoutKept(agent: Agent): Agent {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  return agent;
}

function attempt(options: ExchangeOptions): Promise<HttpReply | NoReply | (NoReply & { staleConnection: true })> {
  const { url, headers, body, agent, timeoutSeconds, longest, signal } = options;
  return new Promise((resolve) => {
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const bytes = body === null ? null : Buffer.from(body, "utf8");
    const request = send(url, {
      method: bytes === null ? "GET" : "POST",
      agent,
      headers: bytes === null ? headers : { ...headers, "content-length": String(bytes.byteLength) },
    });
    const settle = (outcome: HttpReply | NoReply | (NoReply & { staleConnection: true })): void => {
      clearTimeout(deadline);
      signal?.removeEventListener("abort", onAbort);
      resolve(outcome);
    };
    const stop = (problem: string, mayPass: boolean): void => {
      settle({ problem, mayPass });
      request.destroy();
    };
    const onAbort = (): void => stop("interrupted", false);
    const deadline = setTimeout(() => stop(`no reply within ${timeoutSeconds} s`, true), timeoutSeconds * 1000);
    if (signal?.aborted) return onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });

    let answering = false;
    const onError = (error: NodeJS.ErrnoException): void => {
      const known = CONNECTION_ERRORS[error.code ?? ""] ?? tlsError(error) ?? { problem: error.message, mayPass: true };
      const stale = request.reusedSocket && !answering && ["ECONNRESET", "EPIPE"].includes(error.code ?? "");
      settle(stale ? { ...known, staleConnection: true } : known);
    };
    request.on("error", onError);
    request.on("response", (response) => {
      answering = true;
      const pieces: Buffer[] = [];
      let length = 0;
      response.on("data", (piece: Buffer) => {
        length += piece.byteLength;
        if (length > longest) stop(`the reply is longer than ${longest} bytes`, false);
        else pieces.push(piece);
      });
      response.on("error", onError);
      response.on("end", () => {
        settle({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces, length) });
      });
    });
    request.end(bytes ?? undefined);
  });
}

/** Certificates do not become valid by asking again. */
function tlsError({ code = "", message }: NodeJS.ErrnoException): NoReply | undefined {
  const certificate = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ALTNAME/.test(code);
  return certificate ? { problem: `the server's certificate is refused (${message})`, mayPass: false } : undefined;
}
