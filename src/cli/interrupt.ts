/**
 * Ctrl-C, once: the work in hand is finished and saved, then the process ends with 130. Twice: it ends at once (what
 * was being written stays under its temporary name and is never taken for a result). A termination request, which
 * batch systems send some seconds before they kill, counts as Ctrl-C.
 */
const INTERRUPTED = 130;

export interface Interrupts {
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
  /** What a first Ctrl-C is answered with, before the words on the second; a unit of work in hand where nobody says otherwise. */
  say(finishing: () => string): void;
}

/** Listens for the life of the process; `tell` prints one line for the user. */
export function listenForInterrupts(tell: (line: string) => void): Interrupts {
  const controller = new AbortController();
  let words = (): string => "finishing the unit in hand";
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    tell(`${words()}; Ctrl-C again stops at once`);
    controller.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  return {
    signal: controller.signal,
    say: (finishing) => {
      words = finishing;
    },
  };
}
