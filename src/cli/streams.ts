/**
 * Where a command prints. Results go to `stdout`, everything else to `stderr`. A reader that goes away (`| head`) is
 * no error: what would have been printed is dropped, work that has more to show than that goes on, and the rest ends.
 */
import type { WriteStream } from "node:tty";

export interface OutputStream {
  write(text: string): void;
  /** A person is watching. */
  readonly terminal: boolean;
  /** Somebody still reads. */
  isOpen(): boolean;
  /** Width in columns, now. */
  columns(): number;
}

export interface Streams {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Milliseconds, from any start; for rates and times left, never for results. */
  now(): number;
}

const DEFAULT_COLUMNS = 80;

/** The process's own streams, and `flush`, which waits until what was printed has left the process. */
export function processStreams(): Streams & { flush(): Promise<void> } {
  return {
    stdout: outputStream(process.stdout),
    stderr: outputStream(process.stderr),
    environment: process.env,
    now: () => performance.now(),
    flush: async () => {
      await Promise.all([drain(process.stdout), drain(process.stderr)]);
    },
  };
}

function outputStream(stream: WriteStream): OutputStream {
  let open = true;
  stream.on("error", (error: NodeJS.ErrnoException) => {
    open = false;
    if (error.code !== "EPIPE" && error.code !== "EOF") process.exitCode = 1;
  });
  return {
    write: (text) => {
      if (open) stream.write(text);
    },
    terminal: stream.isTTY === true,
    isOpen: () => open,
    columns: () => stream.columns ?? DEFAULT_COLUMNS,
  };
}

function drain(stream: WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.writableLength === 0) resolve();
    else {
      stream.once("error", () => resolve());
      stream.write("", () => resolve());
    }
  });
}
