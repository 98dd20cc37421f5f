/** A server over HTTP for models on this machine, from its start to the end of its last answer. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { Engine } from "../engine/engine.ts";
import { failure, inputError } from "../errors.ts";
import { isLoopbackHost } from "./access.ts";
import { createApp } from "./app.ts";
import { watchConnections } from "./connections.ts";
import { SERVE_LIMITS, type ServeLimits } from "./limits.ts";
import { createMetrics } from "./metrics.ts";
import { openModelPool } from "./model-pool.ts";
import { readPage } from "./page.ts";
import { openRunView, type RunReference, type RunView } from "./run/run-view.ts";
import { openServedModel, type ServedReference } from "./served-model.ts";
import type { ServerState } from "./server-state.ts";
import { openVoteFile } from "./votes.ts";

export interface ServeOptions {
  readonly models: readonly ServedReference[];
  readonly engine: Engine;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Null only on the loopback interface. */
  readonly token: string | null;
  /** Origins of pages that may ask, beside the server's own. */
  readonly origins?: readonly string[];
  readonly limits?: Partial<ServeLimits>;
  /** The file that votes of the page are added to; none are kept where absent. */
  readonly votes?: string;
  /** A run whose stored rows are shown; those that cannot be read are reported, and not shown. */
  readonly run?: RunReference;
  /** Bytes that all loaded models may take together. */
  readonly mostBytes: number;
  /** Bytes that answering with a model takes. */
  readonly neededBytes: (folder: string) => Promise<number>;
  /** Hears what is the server's own fault. */
  readonly report: (error: unknown) => void;
}

export interface RunningServer {
  /** `http://127.0.0.1:8000` */
  readonly url: string;
  /** Requests that are worked on or wait. */
  inFlight(): number;
  /** Takes no further requests, ends when all answers have, and gives the models back. */
  close(): Promise<void>;
}

/** Seconds for the head of a request, and for all of it: whoever sends more slowly holds a connection for nothing. */
const HEAD_SECONDS = 20;
const REQUEST_SECONDS = 120;
const MOST_CONNECTIONS = 1024;

export async function startServer(options: ServeOptions): Promise<RunningServer> {
  const { models, engine, host, port, token } = options;
  const isLoopback = isLoopbackHost(host);
  if (token === null && !isLoopback) {
    throw inputError("--host", `${host} can be reached by others; add --token TOKEN, or leave --host out`);
  }
  const state: ServerState = {
    pool: openModelPool(models, {
      open: (reference) => openServedModel(reference, engine),
      neededBytes: ({ folder }) => options.neededBytes(folder),
      mostBytes: options.mostBytes,
      report: options.report,
    }),
    limits: { ...SERVE_LIMITS, ...options.limits },
    metrics: createMetrics(),
    started: Math.floor(Date.now() / 1000),
    votes: options.votes === undefined ? null : await openVoteFile(options.votes),
    run: options.run === undefined ? null : await runView(options.run, options.report),
    report: options.report,
    inFlight: 0,
    isClosing: false,
  };
  const access = { token, origins: options.origins ?? [], isLoopback: token === null };
  const app = createApp(state, access, await readPage());
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: { headersTimeout: 1000 * HEAD_SECONDS, requestTimeout: 1000 * REQUEST_SECONDS },
  });
  server.maxConnections = MOST_CONNECTIONS;
  const connections = watchConnections(server as Server);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const taken = error.code === "EADDRINUSE" ? "another program listens there; give another --port" : error.message;
      reject(failure(`${host}:${port}`, taken, error));
    });
    server.listen(port, host.replace(/^\[|\]$/g, ""), resolve);
  });
  const { address, family, port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${bound}`,
    inFlight: () => state.inFlight,
    close: async () => {
      state.isClosing = true;
      await connections.close();
      await state.pool.dispose();
      await state.votes?.close();
      await state.run?.close();
    },
  };
}

/** What a run has stored is no condition for answering. */
async function runView(reference: RunReference, report: (error: unknown) => void): Promise<RunView | null> {
  try {
    return await openRunView(reference);
  } catch (error) {
    report(error);
    return null;
  }
}
