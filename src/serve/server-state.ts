/** What the routes of one server share, and how a request gets a model for as long as it needs it. */
import { ApiError } from "./api-error.ts";
import type { ServeLimits } from "./limits.ts";
import type { Metrics } from "./metrics.ts";
import type { ModelPool } from "./model-pool.ts";
import type { ServedModel } from "./served-model.ts";

export interface ServerState {
  readonly pool: ModelPool;
  readonly limits: ServeLimits;
  readonly metrics: Metrics;
  /** Seconds since 1970 at which the server began. */
  readonly started: number;
  /** Hears what is the server's own fault. */
  readonly report: (error: unknown) => void;
  /** Requests that are worked on or wait. */
  inFlight: number;
  /** True once no further request is taken. */
  isClosing: boolean;
}

/** A request at work. */
export interface Work {
  readonly model: ServedModel;
  /** Aborted when the client goes or the time is over. */
  readonly signal: AbortSignal;
  /** The client has gone. */
  readonly leave: () => void;
  /** Milliseconds, of `performance.now`. */
  readonly since: number;
  /** Gives the model back. Called once, whatever comes of the request. */
  readonly done: () => void;
}

/** Throws 429, 503 or 404 where the request cannot be taken. */
export async function beginWork(state: ServerState, name: string, client: AbortSignal): Promise<Work> {
  if (state.isClosing) throw new ApiError(503, "the server is closing");
  if (state.inFlight >= state.limits.inFlight) {
    throw new ApiError(
      429,
      `the server is at ${state.limits.inFlight} requests already; ask again later`,
      "too_many_requests",
    );
  }
  state.inFlight++;
  const since = performance.now();
  try {
    const { model, release } = await state.pool.lease(name);
    const left = new AbortController();
    const time = AbortSignal.timeout(1000 * state.limits.seconds);
    return {
      model,
      signal: AbortSignal.any([client, left.signal, time]),
      leave: () => left.abort(),
      since,
      done: () => {
        release();
        state.inFlight--;
      },
    };
  } catch (error) {
    state.inFlight--;
    throw error;
  }
}

/** What ended a request, as its client is told. */
export function endedBy(error: unknown, { signal }: Work, limits: ServeLimits): unknown {
  const isOver = signal.aborted && signal.reason instanceof DOMException && signal.reason.name === "TimeoutError";
  if (!isOver || error !== signal.reason) return error;
  return new ApiError(504, `the answer took longer than ${limits.seconds} seconds`, "timeout");
}

/** Throws where a prompt leaves no room for an answer of `least` tokens. */
export function checkPrompt({ context, name }: ServedModel, tokens: number, least: number, limits: ServeLimits): void {
  const most = Math.min(context, limits.promptTokens);
  if (tokens === 0)
    throw new ApiError(400, "the prompt is empty: a model needs at least one token", "invalid_value", "prompt");
  if (tokens + least <= most) return;
  throw new ApiError(
    400,
    `the maximum context length of ${name} is ${most} tokens here, but the prompt has ${tokens}; shorten it`,
    "context_length_exceeded",
    "messages",
  );
}
