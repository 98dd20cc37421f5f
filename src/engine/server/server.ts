/**
 * One server that is asked for rows: what goes over, what comes back, and what its refusals mean.
 */
import { FusechatError, failure, inputError } from "../../errors.ts";
import type { RowBatch } from "../engine.ts";
import { openConnection, type Unreadable } from "../http/connection.ts";
import type { Refusal } from "../http/refusal.ts";
import { type Candidates, RowProblem } from "./candidates.ts";
import { baseAddress, below, findModel, jsonOf, LONGEST_ANSWER } from "./identify.ts";
import { JsonCursor, JsonProblem } from "./json-cursor.ts";
import type { RowPlace, RowSink, RowsRequest, ServerKind } from "./kinds/kind.ts";
import type { ServerSettings } from "./settings.ts";

/** A prefill of the largest models, behind others in the queue. */
const TIMEOUT_SECONDS = 600;
/** With waits that double: a server may be away for a quarter of a minute. */
const ATTEMPTS = 6;
/** Bytes of a candidate at most, with the text that some send; more is no reply to what was asked. */
const CANDIDATE_BYTES = 512;

export interface Server {
  readonly settings: ServerSettings;
  readonly kind: ServerKind;
  /** Where rows are asked for, for messages. */
  readonly href: string;
  /** The server's name of the model. */
  readonly model: string;
  /** Longest sequence that it takes with one more token, as it says itself; null where it does not. */
  readonly context: number | null;
  /** Rows of a few sequences, or why they are too many for it. */
  rows(request: RowsRequest, candidates: Candidates, signal?: AbortSignal): Promise<RowBatch | TooLong>;
  /** The ids of a text; null for one that it does not tell. */
  textIds(text: string): Promise<readonly (number | null)[]>;
  /** Whether its vocabulary has an id; asked beside `request`. */
  hasToken(request: RowsRequest, candidates: Candidates): Promise<boolean>;
}

/** What the server says of it. */
export interface TooLong {
  readonly tooLong: string;
}

/** Asks the server who it is. Throws where it is another kind, or does not have the model. */
export async function openServer(
  kind: ServerKind,
  settings: ServerSettings,
  { apiKey, kinds }: { readonly apiKey: string | undefined; readonly kinds: readonly ServerKind[] },
): Promise<Server> {
  const base = baseAddress(settings.url, kind);
  const connection = openConnection({
    url: base.href,
    concurrency: settings.concurrency,
    timeoutSeconds: TIMEOUT_SECONDS,
    attempts: ATTEMPTS,
    ...(apiKey === undefined ? {} : { apiKey }),
  });
  const { model, context } = await findModel(connection, base, kind, settings, kinds);
  const url = below(base, kind.route);
  const { href } = url;

  const ask = async (
    request: RowsRequest,
    candidates: Candidates,
    signal: AbortSignal | undefined,
    refused?: (refusal: Refusal) => Refused | undefined,
  ): Promise<RowBatch | TooLong | Refused> => {
    const tokens = request.sequences.reduce((sum, { ids }) => sum + ids.length, 0);
    return connection.ask<RowBatch | TooLong | Refused>(
      {
        url,
        what: "log-probabilities of prompts",
        model,
        longest: LONGEST_ANSWER + tokens * (request.topK + 2) * CANDIDATE_BYTES,
        body: () => kind.body(request),
        read: (body) => readRows(kind, request, candidates, body),
        refused: (refusal) => refused?.(refusal) ?? meaningOf(refusal, kind, request, href),
      },
      signal,
    );
  };
  return {
    settings,
    kind,
    href,
    model,
    context,
    rows: async (request, candidates, signal) => {
      const reply = await ask(request, candidates, signal);
      if ("refusal" in reply) throw failure(href, reply.refusal);
      return reply;
    },
    hasToken: async (request, candidates) => {
      const reply = await ask(request, candidates, undefined, ({ status, message }) =>
        status === 400 || status === 422 ? { refusal: message } : undefined,
      );
      if ("tooLong" in reply) throw failure(href, reply.tooLong);
      return !("refusal" in reply);
    },
    textIds: async (text) => {
      const { ids } = await connection.ask<{ readonly ids: (number | null)[] }>({
        url,
        what: "log-probabilities of prompts",
        model,
        longest: LONGEST_ANSWER,
        body: () => kind.textBody(model, text),
        read: (body) => {
          const json = jsonOf(body);
          if ("problem" in json) return json;
          try {
            return { ids: kind.readText(json.value) };
          } catch (error) {
            return unreadable(error, kind);
          }
        },
      });
      return ids;
    },
  };
}

interface Refused {
  readonly refusal: string;
}

/** Views into one batch of arrays, filled by the kind. */
function readRows(
  kind: ServerKind,
  request: RowsRequest,
  candidates: Candidates,
  body: Uint8Array,
): RowBatch | Unreadable {
  const { sequences, topK } = request;
  const starts = [0];
  for (const { positions } of sequences) starts.push(starts.at(-1)! + positions.length);
  const rows = starts.at(-1)!;
  const batch: RowBatch = {
    labelLogp: new Float32Array(rows),
    topId: new Int32Array(rows * topK),
    topLogp: new Float32Array(rows * topK),
  };
  const sink: RowSink = {
    candidates,
    views: (place) => viewsOf(batch, starts[place]!, starts[place + 1]!, topK),
  };
  const at: RowPlace = { sequence: 0, position: 0 };
  try {
    kind.read(new JsonCursor(body), request, sink, at);
    return batch;
  } catch (error) {
    if (!(error instanceof RowProblem)) return unreadable(error, kind);
    const { conversation } = sequences[at.sequence]!;
    const whose = conversation === undefined ? `prompt ${at.sequence}` : `conversation ${conversation}`;
    return { problem: `${whose}, position ${at.position}: the row ${error.message}`, cut: false };
  }
}

export function viewsOf(batch: RowBatch, first: number, end: number, topK: number): RowBatch {
  return {
    labelLogp: batch.labelLogp.subarray(first, end),
    topId: batch.topId.subarray(first * topK, end * topK),
    topLogp: batch.topLogp.subarray(first * topK, end * topK),
  };
}

function unreadable(error: unknown, { title }: ServerKind): Unreadable {
  if (!(error instanceof JsonProblem)) throw error;
  if (error.cut) return { problem: error.message, cut: true };
  return {
    problem: `the reply is not as ${title} writes it: it ${error.message}`.replace("it expected", "expected"),
    cut: false,
  };
}

/** Words by which servers say that a prompt is too long for their context or memory. */
const TOO_LONG = /context length|too long|too large|longer than|exceed|out of memory|OutOfMemory|max_model_len/i;
/** Words by which they say that they give fewer candidates. */
const TOO_MANY = /max(imum)? allowed|max_logprobs|--max-logprobs/i;

function meaningOf(
  { status, message }: Refusal,
  { startedWith, title }: ServerKind,
  { topK, sequences }: RowsRequest,
  href: string,
): TooLong | undefined {
  const isRefused = status === 400 || status === 422;
  if (isRefused && TOO_MANY.test(message)) {
    throw inputError(
      href,
      `the server does not give ${topK} candidates a row (${message}); start ${title} with ${startedWith(topK)}, or lower top_k`,
    );
  }
  if (status === 413 || (isRefused && TOO_LONG.test(message))) return { tooLong: `HTTP ${status}: ${message}` };
  // A prompt's log-probabilities lie outside of the memory that a server plans with: fewer prompts may pass at once.
  if (status === 500 && sequences.length > 1) return { tooLong: `HTTP ${status}: ${message}` };
  return undefined;
}

/** What a failure of the server's leaves: everything that came before. */
export function withAdvice(error: unknown, kept: boolean): unknown {
  if (!(error instanceof FusechatError) || error.code !== "failed" || !kept) return error;
  return new FusechatError(
    "failed",
    `${error.message}; what came before is kept, and the same command goes on from there`,
    error,
  );
}
