/**
 * Where the questions of a talk come from: lines of the input. On a terminal Ctrl-C ends the answer under way and
 * keeps the talk; between answers it ends the talk. Elsewhere the process's signal does both at once.
 */
import { createInterface } from "node:readline";

export interface Questions {
  readonly lines: AsyncIterable<string>;
  /** Runs what answers a question; its signal is aborted where the answer is to end as it is. */
  readonly answering: <T>(answer: (signal: AbortSignal) => Promise<T>) => Promise<T>;
  /** The talk was ended from outside, not by the end of the input. */
  readonly interrupted: () => boolean;
}

/** The one question of the command line. */
export function oneQuestion(text: string, signal: AbortSignal): Questions {
  return {
    lines: (async function* () {
      yield text;
    })(),
    answering: (answer) => answer(signal),
    interrupted: () => signal.aborted,
  };
}

/** Lines of `input`. With `terminal`, where the prompt goes, they are edited there and Ctrl-C is a key of its own. */
export function questionsFrom(
  input: NodeJS.ReadableStream,
  terminal: NodeJS.WritableStream | null,
  signal: AbortSignal,
): Questions {
  const reader = createInterface(
    terminal === null ? { input, terminal: false } : { input, output: terminal, terminal: true, prompt: "> " },
  );
  // Made at once: lines that come before it are lost.
  const read = reader[Symbol.asyncIterator]();
  let underWay: AbortController | undefined;
  let interrupted = false;
  const end = (): void => {
    interrupted = true;
    underWay?.abort();
    reader.close();
  };
  reader.on("SIGINT", () => {
    if (underWay === undefined) end();
    else underWay.abort();
  });
  if (signal.aborted) end();
  signal.addEventListener("abort", end, { once: true });

  async function* lines(): AsyncGenerator<string> {
    if (terminal !== null) reader.prompt();
    for await (const line of read) {
      yield line;
      if (terminal !== null && !interrupted) reader.prompt();
    }
    if (terminal !== null) terminal.write("\n");
    signal.removeEventListener("abort", end);
  }
  return {
    lines: lines(),
    answering: async (answer) => {
      underWay = new AbortController();
      if (interrupted) underWay.abort();
      try {
        return await answer(underWay.signal);
      } finally {
        underWay = undefined;
      }
    },
    interrupted: () => interrupted,
  };
}
