/**
 * Ctrl-C, once: the work in hand is finished and saved, then the process ends with 130. Twice: it ends at once (what
 * was being written stays under its temporary name and is never taken for a result). A termination request, which
 * batch systems send some seconds before they kill, counts as Ctrl-C.
 */
const INTERRUPTED = 130;

/** Listens for the life of the process; `tell` prints one line for the user. */
export function listenForInterrupts(tell: (line: string) => void): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    tell("finishing the unit in hand; Ctrl-C again stops at once");
    controller.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  return controller.signal;
}
