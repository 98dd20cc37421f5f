/**
 * Many questions to one server, of which some may go wrong: a question without a reply is told in its place, and the
 * others go on, until the server is silent for so long that it counts as gone.
 */
import { FusechatError, failure, throwIfInterrupted } from "../../errors.ts";
import { inFlight } from "./in-flight.ts";

/** Why a question has no reply, in a sentence. */
export interface Problem {
  readonly problem: string;
}

/** What became of a question. */
export type Outcome<Question, Reply> =
  | { readonly question: Question; readonly reply: Reply }
  | ({ readonly question: Question } & Problem);

export interface Asking {
  /** Requests at a time. */
  readonly concurrency: number;
  /** Who asks, in errors. */
  readonly where: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Outcomes in the order in which they come. Twice as many questions are in hand as requests: while some replies are
 * flushed to the disk, others are asked for. Whatever `ask` throws ends all, as a full disk must; so does a server that
 * is gone.
 */
export async function* askMany<Question, Reply extends object>(
  questions: Iterable<Question>,
  { concurrency, where, signal }: Asking,
  ask: (question: Question, signal: AbortSignal) => Promise<Reply | Problem>,
): AsyncGenerator<Outcome<Question, Reply>, void, undefined> {
  const one = async (question: Question, stop: AbortSignal): Promise<Outcome<Question, Reply>> => {
    throwIfInterrupted(stop, where);
    const reply = await ask(question, stop);
    return "problem" in reply ? { question, problem: reply.problem } : { question, reply };
  };
  const silence = watchSilence(concurrency, where);
  for await (const outcome of inFlight(questions, 2 * concurrency, one, signal)) {
    if ("problem" in outcome) silence.failed(outcome.problem);
    else silence.replied();
    yield outcome;
  }
}

/** The reply of one request, or what went wrong with it. */
export async function orProblem<Reply>(request: Promise<Reply>): Promise<Reply | Problem> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof FusechatError && error.code === "failed") return { problem: error.message };
    throw error;
  }
}

/** Requests in a row without a reply after which a server counts as gone, where fewer than that are in flight. */
const LONGEST_SILENCE = 8;

export interface SilenceWatch {
  replied(): void;
  /** Throws where the server has been silent for too long. */
  failed(problem: string): void;
}

/**
 * Tells a server that is gone from single requests that it cannot answer: as many failures in a row as are in flight at
 * once, and at least eight, with no reply in between.
 */
export function watchSilence(concurrency: number, where: string): SilenceWatch {
  const longest = Math.max(LONGEST_SILENCE, concurrency);
  let silence = 0;
  return {
    replied: () => {
      silence = 0;
    },
    failed: (problem) => {
      silence++;
      if (silence >= longest) throw failure(where, `${silence} requests in a row got no reply (${problem})`);
    },
  };
}
