/** What the routes of one server share, and how a request gets a model for as long as it needs it. */
import { ApiError } from "./api-error.ts";
import type { ServeLimits } from "./limits.ts";
import type { Metrics } from "./metrics.ts";
import type { ModelPool } from "./model-pool.ts";
import type { RunView } from "./run/run-view.ts";
import type { ServedModel } from "./served-model.ts";
import type { VoteFile } from "./votes.ts";

export interface ServerState {
  readonly pool: ModelPool;
  readonly limits: ServeLimits;
  readonly metrics: Metrics;
  /** Seconds since 1970 at which the server began. */
  readonly started: number;
  /** Where votes of the page go; null where none are kept. */
  readonly votes: VoteFile | null;
  /** The run whose rows are shown; null where there is none. */
  readonly run: RunView | null;
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
    // Not AbortSignal.any: Node 20 may collect a timeout's signal that only such a one listens to.
    const ending = new AbortController();
    const leave = (): void => ending.abort(client.reason);
    if (client.aborted) leave();
    client.addEventListener("abort", leave);
    const { seconds } = state.limits;
    const timer = setTimeout(() => {
      ending.abort(new ApiError(504, `the answer took longer than ${seconds} seconds`, "timeout"));
    }, 1000 * seconds);
    return {
      model,
      signal: ending.signal,
      leave,
      since,
      done: () => {
        clearTimeout(timer);
        client.removeEventListener("abort", leave);
        release();
        state.inFlight--;
      },
    };
  } catch (error) {
    state.inFlight--;
    throw error;
  }
}

/** Throws where a prompt, which is in the parameter `param`, leaves no room for an answer of `least` tokens. */
export function checkPrompt(
  { context, name }: ServedModel,
  prompt: { readonly tokens: number; readonly param: string },
  least: number,
  limits: ServeLimits,
): void {
  const most = Math.min(context, limits.promptTokens);
  const { tokens, param } = prompt;
  if (tokens === 0)
    throw new ApiError(400, `${param}: is empty; a model needs at least one token`, "invalid_value", param);
  if (tokens + least <= most) return;
  throw new ApiError(
    400,
    `${param}: the maximum context length of ${name} is ${most} tokens here, but the prompt has ${tokens}; shorten it`,
    "context_length_exceeded",
    param,
  );
}
