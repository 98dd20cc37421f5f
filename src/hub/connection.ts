/** Who is asked, with what, and what happens where there is no answer. */
import { setTimeout as wait } from "node:timers/promises";
import { failure } from "../errors.ts";
import { type Environment, type HubSettings, hubSettings } from "./settings.ts";

export interface HubConnection {
  readonly settings: HubSettings;
  readonly signal?: AbortSignal;
  /** Waits before another attempt. */
  readonly pause: (seconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** The Hub does not answer now, or not to the end. Another attempt may succeed. */
export class Unavailable extends Error {
  /** How long the server asks to wait. */
  readonly retryAfter: number | undefined;
  /** Nothing is gained by asking again soon. */
  readonly isFinal: boolean;

  constructor(
    problem: string,
    { retryAfter, isFinal = false }: { retryAfter?: number | undefined; isFinal?: boolean } = {},
  ) {
    super(problem);
    this.retryAfter = retryAfter;
    this.isFinal = isFinal;
  }
}

export interface ConnectOptions {
  /** `process.env`: where the Hub and its cache are, and the token. */
  readonly environment: Environment;
  readonly signal?: AbortSignal | undefined;
  /** Waits before another attempt; for tests. */
  readonly pause?: HubConnection["pause"] | undefined;
}

export async function connect({
  environment,
  signal,
  pause: pauseFor = pause,
}: ConnectOptions): Promise<HubConnection> {
  const settings = await hubSettings(environment);
  return { settings, pause: pauseFor, ...(signal === undefined ? {} : { signal }) };
}

async function pause(seconds: number, signal: AbortSignal | undefined): Promise<void> {
  await wait(seconds * 1000, undefined, signal === undefined ? {} : { signal }).catch(() => {});
}

/** Says in one sentence that the Hub is not to be had; `problem` follows its name. */
export async function orFailure<T>(
  { settings }: HubConnection,
  what: string,
  problem: (message: string) => string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    throw failure(what, `${settings.host} ${problem(error.message)}`, error);
  }
}
