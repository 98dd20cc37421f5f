/**
 * Rows of many sequences from a server: as many requests in flight as the settings say, each of a few sequences. What
 * the server finds too long is halved, and later requests stay as small. Rows are kept as they come.
 */
import { inputError } from "../../errors.ts";
import type { RowBatch, Sequence, Watch } from "../engine.ts";
import { inFlight } from "../http/in-flight.ts";
import { type ModelLimits, packSequences } from "../packed.ts";
import { openCandidates } from "./candidates.ts";
import { openRowJournal, type RowJournal, rowsKey } from "./row-journal.ts";
import { type Server, type TooLong, viewsOf, withAdvice } from "./server.ts";

/**
 * Tokens of a request: a few conversations. The logits of a prompt lie outside of the memory that servers plan with (2,048
 * positions of a vocabulary of 152 thousand take 1.2 GB in float32), and a lost reply costs no more than this.
 */
export const REQUEST_TOKENS = 2048;

/** A sequence that is asked for: its own ids up to the last label, where its rows go, and what it is kept under. */
interface Wanted {
  readonly sequence: Sequence;
  readonly views: RowBatch;
  readonly key: string;
}

export async function collectRows(
  server: Server,
  limits: ModelLimits,
  sequences: readonly Sequence[],
  { topK, work, watch = {} }: { readonly topK: number; readonly work: string | undefined; readonly watch?: Watch },
): Promise<RowBatch> {
  packSequences(sequences, limits);
  const rows = sequences.reduce((sum, { positions }) => sum + positions.length, 0);
  const batch: RowBatch = {
    labelLogp: new Float32Array(rows),
    topId: new Int32Array(rows * topK),
    topLogp: new Float32Array(rows * topK),
  };
  const wanted: Wanted[] = [];
  let row = 0;
  for (const sequence of sequences) {
    const first = row;
    row += sequence.positions.length;
    if (sequence.positions.length === 0) continue;
    const asked = upToLastLabel(sequence);
    checkContext(server, asked);
    wanted.push({ sequence: asked, views: viewsOf(batch, first, row, topK), key: rowsKey(asked, topK) });
  }
  const journal = work === undefined ? null : await openRowJournal(work);
  try {
    const kept = await takeKept(journal, wanted);
    const missing = wanted.filter((_, place) => !kept[place]);
    let done = sequences.length - missing.length;
    if (done > 0) watch.onProgress?.(done);
    for await (const finished of answers(server, limits, missing, { topK, watch })) {
      for (const { key, views } of finished) await journal?.keep(key, views);
      done += finished.length;
      watch.onProgress?.(done);
    }
    return batch;
  } catch (error) {
    throw withAdvice(error, journal !== null);
  } finally {
    await journal?.close();
  }
}

/** Asks for all, a few at a time; each few as their rows are in their places. */
async function* answers(
  server: Server,
  { vocabulary }: ModelLimits,
  missing: readonly Wanted[],
  { topK, watch }: { readonly topK: number; readonly watch: Watch },
): AsyncGenerator<readonly Wanted[]> {
  const candidates = openCandidates(topK, vocabulary);
  let limit = REQUEST_TOKENS;
  let next = 0;
  function* requests(): Generator<readonly Wanted[]> {
    while (next < missing.length) {
      const few = missing.slice(next, endOfRequest(missing, next, limit));
      next += few.length;
      yield few;
    }
  }
  const ask = async (few: readonly Wanted[], signal: AbortSignal): Promise<readonly Wanted[]> => {
    const request = { model: server.model, sequences: few.map(({ sequence }) => sequence), topK };
    const reply = await server.rows(request, candidates, signal);
    if ("tooLong" in reply) {
      if (few.length === 1) throw tooLong(server, few[0]!.sequence, reply);
      limit = Math.min(limit, tokensOf(few.slice(0, Math.ceil(few.length / 2))));
      // What is learned on the way holds for the rest.
      for (let first = 0; first < few.length; ) {
        const end = Math.min(endOfRequest(few, first, limit), first + Math.ceil(few.length / 2));
        await ask(few.slice(first, end), signal);
        first = end;
      }
      return few;
    }
    let row = 0;
    for (const { sequence, views } of few) {
      const first = row;
      row += sequence.positions.length;
      const own = viewsOf(reply, first, row, topK);
      views.labelLogp.set(own.labelLogp);
      views.topId.set(own.topId);
      views.topLogp.set(own.topLogp);
    }
    return few;
  };
  yield* inFlight(requests(), server.settings.concurrency, ask, watch.signal);
}

async function takeKept(journal: RowJournal | null, wanted: readonly Wanted[]): Promise<readonly boolean[]> {
  if (journal === null) return wanted.map(() => false);
  return journal.take(
    wanted.map(({ key }) => key),
    (place) => wanted[place]!.views,
  );
}

/** How many requests conversations of these lengths take, tokens up to their last label. */
export function requestsOf(lengths: readonly number[]): number {
  let [requests, tokens] = [0, Infinity];
  for (const length of lengths) {
    tokens += length;
    if (tokens <= REQUEST_TOKENS) continue;
    requests++;
    tokens = length;
  }
  return requests;
}

/** What follows the last label changes nothing. */
function upToLastLabel({ ids, positions, ...rest }: Sequence): Sequence {
  return { ...rest, ids: ids.slice(0, positions.at(-1)! + 1), positions };
}

function endOfRequest(missing: readonly Wanted[], first: number, limit: number): number {
  let tokens = 0;
  for (let end = first; end < missing.length; end++) {
    tokens += missing[end]!.sequence.ids.length;
    if (end > first && tokens > limit) return end;
  }
  return missing.length;
}

function tokensOf(few: readonly Wanted[]): number {
  return few.reduce((sum, { sequence }) => sum + sequence.ids.length, 0);
}

function checkContext({ href, context }: Server, { ids, conversation }: Sequence): void {
  // Servers write at least one token.
  if (context === null || ids.length < context) return;
  throw inputError(
    href,
    `${nameOf(conversation)} has ${ids.length} tokens, but the server takes ${context - 1} and writes one; lower max_length to ${context - 1}, or start the server with a longer context`,
  );
}

function tooLong({ href }: Server, { ids, conversation }: Sequence, reply: TooLong): Error {
  return inputError(
    href,
    `${nameOf(conversation)} with its ${ids.length} tokens is too long for the server (${reply.tooLong}); lower max_length, or start the server with a longer context or more memory`,
  );
}

function nameOf(conversation: number | undefined): string {
  return conversation === undefined ? "a prompt" : `conversation ${conversation}`;
}
