/**
 * `/run` and below: where the models of a run part. Requests name conversations and rows by their numbers, models and sources by names
 * that the server knows; no path comes from outside.
 */
import { z } from "zod";
import { tokenName } from "../../align/examples/examples.ts";
import type { RankedRows } from "../../engine/engine.ts";
import type { TokenTable } from "../../tokenizer/tokenizer.ts";
import { ApiError } from "../api-error.ts";
import { beginWork, type ServerState } from "../server-state.ts";
import { jsonLogprob } from "../token-words.ts";
import { divergenceBits, type StoredRow } from "./divergence.ts";
import { type RunView, rowsNow } from "./run-view.ts";
import { pivotRow, type StoredConversation, sourceRow } from "./stored-rows.ts";

/** Conversations of one reply, and characters of a question in it. */
const MOST_LISTED = 50;
const QUESTION_LENGTH = 200;
/** Tokens of a distribution that are told. */
const TOKENS = 10;

const number = z.coerce
  .number()
  .int()
  .min(0)
  .max(2 ** 31);

export interface ListRequest {
  readonly search?: string | undefined;
  readonly from?: number | undefined;
}

/** `from` is a place among the conversations that have rows. */
export const listRequest: z.ZodType<ListRequest> = z.strictObject({
  search: z.string().max(1000).optional(),
  from: number.optional(),
});

export interface PlaceRequest {
  readonly conversation: number;
  readonly row?: number | undefined;
  readonly source?: string | undefined;
  readonly model?: string | undefined;
}

const conversation = number;

/** The rows of a conversation, each with how far from the pivot's a source's, or what a model says now, is. */
export const conversationRequest: z.ZodType<PlaceRequest> = z.strictObject({
  conversation,
  source: z.string().optional(),
  model: z.string().optional(),
});

/** What was stored of one row, or what a model says there now. */
export const rowRequest: z.ZodType<PlaceRequest> = z.strictObject({
  conversation,
  row: number,
  model: z.string().optional(),
});

export function describeRun({ run, pool }: ServerState): Response {
  if (run === null) return Response.json({ run: null });
  const { pivot, sources, asked } = run.reference;
  const loaded = pool.loaded();
  return Response.json({
    run: {
      pivot: pivot.name,
      sources: sources.map(({ name }) => name),
      conversations: run.conversations.length,
      models: pool.references.map(({ name }) => ({ name, asked: asked.includes(name), loaded: loaded.includes(name) })),
    },
  });
}

/** Conversations whose turns have the words of `search` in this order, whatever their case. */
export async function listConversations(
  state: ServerState,
  request: ListRequest,
  client: AbortSignal,
): Promise<Response> {
  const run = runOf(state);
  const wanted = (request.search ?? "").toLowerCase();
  const found: { conversation: number; question: string }[] = [];
  let place = request.from ?? 0;
  for (; place < run.conversations.length && found.length < MOST_LISTED; place++) {
    client.throwIfAborted();
    const index = run.conversations[place]!;
    const { turns } = await run.read(index);
    if (!turns.some(({ content }) => content.toLowerCase().includes(wanted))) continue;
    const question = turns.find(({ role }) => role === "user") ?? turns[0]!;
    found.push({ conversation: index, question: question.content.slice(0, QUESTION_LENGTH) });
  }
  return Response.json({ conversations: found, next: place < run.conversations.length ? place : null });
}

export async function showConversation(
  state: ServerState,
  request: PlaceRequest,
  client: AbortSignal,
): Promise<Response> {
  const run = runOf(state);
  const stored = await run.stored(request.conversation);
  const { turns } = await run.read(request.conversation);
  const { shard, first, rows } = stored.pivot;
  const apart = await divergences(state, run, request, stored, client);
  const endOfTurn = new Set(shard.endOfTurn);
  return Response.json({
    conversation: request.conversation,
    turns: turns.map(({ role, content }) => ({ role, content })),
    nats_per_byte: natsPerByte(run, stored),
    rows: Array.from({ length: rows }, (_, row) => ({
      turn: shard.turn[first + row]!,
      token: tokenName(run.tokens, shard.token[first + row]!),
      ends_turn: endOfTurn.has(first + row),
      divergence: apart?.[row] ?? null,
    })),
  });
}

export async function showRow(state: ServerState, request: PlaceRequest, client: AbortSignal): Promise<Response> {
  const run = runOf(state);
  const stored = await run.stored(request.conversation);
  const row = request.row ?? 0;
  const { shard, first, rows } = stored.pivot;
  if (row >= rows) {
    throw new ApiError(404, `conversation ${request.conversation} has ${rows} rows, from 0 on`, "no_rows", "row");
  }
  const label = shard.token[first + row]!;
  if (request.model !== undefined) {
    const now = await askNow(state, run, request.model, request.conversation, stored, row, TOKENS, client);
    return Response.json({
      model: request.model,
      logprob: jsonLogprob(now.labelLogp[0]!),
      rank: now.labelRank[0]!,
      ...tokensOf({ ids: now.topId, logprobs: now.topLogp }, run.tokens, label),
    });
  }
  return Response.json({
    label: { id: label, token: tokenName(run.tokens, label) },
    pivot: {
      name: run.reference.pivot.name,
      logprob: jsonLogprob(shard.labelLogp[first + row]!),
      ...tokensOf(pivotRow(stored.pivot, row), run.tokens, label),
    },
    sources: stored.sources.map((source) => {
      const there = sourceRow(source, row);
      return { name: source.name, ...(there === null ? { top: null } : tokensOf(there, run.tokens, label)) };
    }),
  });
}

/** [rows] bits, null in rows that the source does not have; null where nobody is compared. */
async function divergences(
  state: ServerState,
  run: RunView,
  { conversation: index, source: name, model }: PlaceRequest,
  stored: StoredConversation,
  client: AbortSignal,
): Promise<(number | null)[] | null> {
  const { pivot, sources } = stored;
  const all = Array.from({ length: pivot.rows }, (_, row) => row);
  if (model !== undefined) {
    const width = pivot.shard.metadata.topK;
    const now = await askNow(state, run, model, index, stored, null, width, client);
    const kept = now.topId.length / Math.max(1, now.labelLogp.length);
    return all.map((row) => {
      const [from, to] = [row * kept, (row + 1) * kept];
      const own = { ids: now.topId.subarray(from, to), logprobs: now.topLogp.subarray(from, to) };
      return rounded(divergenceBits(pivotRow(pivot, row), own));
    });
  }
  if (name === undefined) return null;
  const source = sources.find((one) => one.name === name);
  if (source === undefined) {
    const names = sources.map((one) => one.name).join(", ");
    throw new ApiError(
      404,
      `the run has no aligned source ${JSON.stringify(name)} (there is: ${names})`,
      "no_source",
      "source",
    );
  }
  return all.map((row) => {
    const there = sourceRow(source, row);
    return there === null ? null : rounded(divergenceBits(pivotRow(pivot, row), there));
  });
}

async function askNow(
  state: ServerState,
  run: RunView,
  name: string,
  index: number,
  stored: StoredConversation,
  row: number | null,
  count: number,
  client: AbortSignal,
): Promise<RankedRows> {
  const { model, done } = await beginWork(state, name, client);
  try {
    return await rowsNow(model, await run.read(index), stored, row, count);
  } finally {
    done();
  }
}

/** The most probable tokens, and which of them is the label. */
function tokensOf({ ids, logprobs }: StoredRow, tokens: TokenTable, label: number): object {
  const used = Array.from(ids, (id, place) => ({ id, logprob: logprobs[place]! })).filter(
    ({ logprob }) => logprob > Number.NEGATIVE_INFINITY,
  );
  return {
    top: used.slice(0, TOKENS).map(({ id, logprob }) => ({
      id,
      token: tokenName(tokens, id),
      logprob: jsonLogprob(logprob),
      is_label: id === label,
    })),
  };
}

/** What the conversation costs each model, by its name; null where the source does not have it. */
function natsPerByte(run: RunView, { sources, pivot }: StoredConversation): Record<string, number | null> {
  const costs: [string, number | null][] = sources.map(({ name, shard, place }) => {
    const bytes = shard.sourceBytes[place]!;
    return [name, bytes === 0 ? null : rounded(shard.sourceNats[place]! / bytes)];
  });
  const { shard, place, first, rows } = pivot;
  const nats = shard.labelLogp.subarray(first, first + rows).reduce((sum, logprob) => sum - logprob, 0);
  return Object.fromEntries([[run.reference.pivot.name, rounded(nats / shard.bytes[place]!)], ...costs]);
}

function runOf({ run }: ServerState): RunView {
  if (run !== null) return run;
  throw new ApiError(404, "this server shows no run; start it with --run RUN", "no_run");
}

function rounded(value: number): number {
  return Number(value.toFixed(4));
}
