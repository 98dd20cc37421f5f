/**
 * One server that is asked for rows: its routes below the address, what its refusals mean, and who it says it is.
 */
import { z } from "zod";
import { FusechatError, failure, inputError, suggestion } from "../../errors.ts";
import type { RowBatch } from "../engine.ts";
import { type Connection, openConnection, parseAddress, type Unreadable } from "../http/connection.ts";
import type { Refusal } from "../http/refusal.ts";
import { type Candidates, RowProblem } from "./candidates.ts";
import { JsonCursor, JsonProblem } from "./json-cursor.ts";
import type { RowPlace, RowSink, RowsRequest, ServerKind } from "./kinds/kind.ts";
import type { ServerSettings } from "./settings.ts";

/** A prefill of the largest models, behind others in the queue. */
const TIMEOUT_SECONDS = 600;
/** With waits that double: a server may be away for a quarter of a minute. */
const ATTEMPTS = 6;
/** Of a reply about itself. */
const LONGEST_ANSWER = 1 << 22;
/** Bytes of a candidate at most, with the text that some send; more is no reply to what was asked. */
const CANDIDATE_BYTES = 512;
const EXAMPLE = "http://127.0.0.1:8000";

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

function jsonOf(body: Uint8Array): { readonly value: unknown } | Unreadable {
  const text = Buffer.from(body).toString("utf8");
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    const cut = /^\s*[[{]/.test(text) && !/[\]}]$/.test(text.trimEnd());
    return { problem: cut ? "the reply ends in the middle" : "expected a reply in JSON, found something else", cut };
  }
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

const modelList = z.looseObject({
  data: z.array(
    z.looseObject({
      id: z.string(),
      owned_by: z.string().nullish(),
      max_model_len: z.number().int().positive().nullish(),
    }),
  ),
});

type ModelList = z.infer<typeof modelList>["data"];

async function findModel(
  connection: Connection,
  base: URL,
  kind: ServerKind,
  settings: ServerSettings,
  kinds: readonly ServerKind[],
): Promise<{ readonly model: string; readonly context: number | null }> {
  const url = below(base, "v1/models");
  const list = await get(connection, url, (json) => modelList.safeParse(json).data?.data);
  if (list === null || !list.some(({ owned_by }) => owned_by === kind.owner)) {
    await refuseOthers(connection, base, kind, list ?? [], kinds);
  }
  if (list === null) {
    throw inputError(url.href, `there is no list of models: is this the address of ${kind.title}, without its routes?`);
  }
  const names = list.map(({ id }) => id);
  const wanted = settings.model ?? (names.length === 1 ? names[0] : undefined);
  const found = list.find(({ id }) => id === wanted);
  if (found === undefined) {
    const has = names.length === 0 ? "none" : names.map((name) => JSON.stringify(name)).join(", ");
    const asked =
      wanted === undefined ? "which of its models is meant is not said" : `it has no model ${JSON.stringify(wanted)}`;
    throw inputError(
      url.href,
      `${asked}; there are ${has}; say which with \`model\`${suggestion(wanted ?? "", names)}`,
    );
  }
  return { model: found.id, context: found.max_model_len ?? null };
}

/** Servers that cannot give what is wanted, by name, and what would do. */
async function refuseOthers(
  connection: Connection,
  base: URL,
  kind: ServerKind,
  list: ModelList,
  kinds: readonly ServerKind[],
): Promise<void> {
  const other = kinds.find(({ owner }) => owner !== kind.owner && list.some(({ owned_by }) => owned_by === owner));
  if (other !== undefined) {
    throw inputError(base.href, `${other.title} answers there, not ${kind.title}; say engine ${other.name}`);
  }
  const instead = `start the model with ${kinds.map(({ title }) => title).join(" or ")}, or give the folder of its weights`;
  if (
    list.some(({ owned_by }) => owned_by === "llamacpp") ||
    (await has(connection, below(base, "props"), "default_generation_settings"))
  ) {
    throw inputError(
      base.href,
      `llama.cpp's server answers there, which gives the most probable tokens of what it writes only, not of a given text; ${instead}`,
    );
  }
  if (await has(connection, below(base, "info"), "max_input_tokens")) {
    throw inputError(
      base.href,
      `Text Generation Inference answers there, which gives a given text's own tokens only, not the most probable ones; ${instead}`,
    );
  }
}

async function has(connection: Connection, url: URL, key: string): Promise<boolean> {
  const found = await get(connection, url, (json) =>
    typeof json === "object" && json !== null && key in json ? true : undefined,
  );
  return found === true;
}

/** What a route tells of a server; null where there is no such route, or it tells something else. */
async function get<T>(connection: Connection, url: URL, read: (json: unknown) => T | undefined): Promise<T | null> {
  const { value } = await connection.ask<{ readonly value: T | null }>({
    url,
    what: url.pathname,
    model: "",
    longest: LONGEST_ANSWER,
    body: () => null,
    read: (body) => {
      const json = jsonOf(body);
      return { value: "problem" in json ? null : (read(json.value) ?? null) };
    },
    refused: ({ status }) => ([400, 404, 405, 501].includes(status) ? { value: null } : undefined),
  });
  return value;
}

/** Whatever route of the server was given, its base. */
function baseAddress(text: string, { route }: ServerKind): URL {
  const url = parseAddress(text, EXAMPLE);
  const path = url.pathname.replace(/\/+$/, "");
  const routes = [route, "v1/completions", "v1/chat/completions", "v1/models", "v1"].map((name) => `/${name}`);
  const given = routes.find((name) => path.endsWith(name)) ?? "";
  url.pathname = `${path.slice(0, path.length - given.length)}/`;
  return url;
}

function below(base: URL, route: string): URL {
  const url = new URL(base);
  url.pathname = `${url.pathname}${route}`;
  return url;
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
