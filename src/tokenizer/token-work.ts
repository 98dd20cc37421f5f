/**
 * What is read from tokenizer files, in this thread or in one of its own. Parsed, the JSON of a vocabulary of 152k is
 * 50 MB of small objects and the library's copy as much again, which a heap keeps long after the last use; a thread's
 * heap goes with the thread.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { startThread } from "../threads/thread.ts";
import { type FirstTokens, openFirstTokens } from "./first-token.ts";
import { readTokenTableParts, type TokenTableParts } from "./token-table.ts";

/** Every call takes one value and gives one, both of which cross between threads. */
export interface TokenWork {
  /** The tokens of a folder. */
  table(folder: string): Promise<TokenTableParts>;
  /** The first token of each text in running text, -1 for an empty one. All calls name the same folder. */
  firstTokens(request: { readonly folder: string; readonly texts: readonly Uint8Array[] }): Promise<readonly number[]>;
}

export interface TokenWorker {
  readonly work: TokenWork;
  dispose(): Promise<void>;
}

/** Smaller files are read in the time that a thread takes to start, bytes. A `tokenizer.model` holds as much in a third. */
const WORTH_A_THREAD: readonly (readonly [string, number])[] = [
  ["tokenizer.json", 1e6],
  ["tokenizer.model", 3e5],
];

export function createTokenWork(): TokenWork {
  let opened: Promise<FirstTokens> | undefined;
  return {
    table: readTokenTableParts,
    firstTokens: async ({ folder, texts }) => {
      opened ??= openFirstTokens(folder);
      return (await opened)(texts);
    },
  };
}

/** A worker for this folder: a thread where its tokenizer is large. */
export async function openTokenWorker(folder: string): Promise<TokenWorker> {
  const sizes = WORTH_A_THREAD.map(async ([name, least]) => {
    const file = await stat(join(folder, name)).catch(() => undefined);
    return file !== undefined && file.size >= least;
  });
  if (!(await Promise.all(sizes)).includes(true)) return { work: createTokenWork(), dispose: async () => {} };
  const script = new URL("./token-worker.js", import.meta.url);
  const { call, terminate } = startThread<null, never, TokenWork>({ script, setup: null, stage: "tokenizer" });
  return {
    work: {
      table: (path) => call("table", path),
      firstTokens: (request) => call("firstTokens", request),
    },
    dispose: terminate,
  };
}
