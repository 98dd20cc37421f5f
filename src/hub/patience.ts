/** Asking again: how often, and how long to wait in between. */
import { throwIfInterrupted } from "../errors.ts";
import { type HubConnection, Unavailable } from "./connection.ts";

/** Attempts in a row that bring nothing, of small requests: seven seconds of waiting. */
const MOST_ATTEMPTS = 4;
const FIRST_WAIT = 1;
const LONGEST_WAIT = 30;
/** Who is asked to wait longer is told so. */
const LONGEST_RETRY_AFTER = 300;

/** Counts attempts that brought nothing; `gained` starts the count anew. */
export interface Patience {
  gained(): void;
  /** Waits before the next attempt, or throws where there have been enough. */
  after(error: Unavailable): Promise<void>;
}

export function patience(
  { signal, pause: pauseFor }: HubConnection,
  what: string,
  most: number = MOST_ATTEMPTS,
): Patience {
  let attempts = 0;
  return {
    gained: () => {
      attempts = 0;
    },
    after: async (error) => {
      attempts++;
      const { message, retryAfter } = error;
      if (error.isFinal) throw error;
      if (retryAfter !== undefined && retryAfter > LONGEST_RETRY_AFTER) {
        throw new Unavailable(
          `${message}, and asks to wait ${Math.ceil(retryAfter)} s; run the same command again then`,
        );
      }
      if (attempts >= most) throw new Unavailable(`${message}, ${attempts} times in a row`);
      await pauseFor(retryAfter ?? Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempts - 1)), signal);
      throwIfInterrupted(signal, what);
    },
  };
}

/** Does work that may be unavailable until it succeeds or patience ends. */
export async function persist<T>(connection: HubConnection, what: string, work: () => Promise<T>): Promise<T> {
  const left = patience(connection, what);
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      await left.after(error);
    }
  }
}
