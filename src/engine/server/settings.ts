/** How a server is asked for distributions; what a recipe's or a command's `engine: vllm` says. */

export interface ServerSettings {
  /** Base address, such as `http://127.0.0.1:8000`. */
  readonly url: string;
  /** The server's name of the model; null: the only one it has. */
  readonly model: string | null;
  /** Requests in flight at most. */
  readonly concurrency: number;
  /** Candidates a row that the server was started to give; null: what its kind gives by default. */
  readonly maxLogprobs: number | null;
}

/** Enough that the server always has the next request, whatever its batches; memory is that of as many replies. */
export const SERVER_CONCURRENCY = 8;

/** Gives the key that is meant for an address, if there is one. */
export type KeyFor = (url: string) => string | undefined;
