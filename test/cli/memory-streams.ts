/** Streams that keep what was printed, and a clock that the test moves. */
import type { OutputStream, Streams } from "#src/cli/streams.js";

export interface MemoryStream extends OutputStream {
  text: string;
  isOpen(): boolean;
}

export interface MemoryStreams extends Streams {
  readonly stdout: MemoryStream;
  readonly stderr: MemoryStream;
  /** Milliseconds. */
  clock: number;
}

export function memoryStreams(
  options: { terminal?: boolean; columns?: number; environment?: Record<string, string> } = {},
): MemoryStreams {
  const stream = (): MemoryStream => {
    const kept: MemoryStream = {
      text: "",
      write: (text) => {
        kept.text += text;
      },
      terminal: options.terminal ?? false,
      isOpen: () => true,
      columns: () => options.columns ?? 100,
    };
    return kept;
  };
  const streams: MemoryStreams = {
    stdout: stream(),
    stderr: stream(),
    environment: options.environment ?? {},
    clock: 0,
    now: () => streams.clock,
  };
  return streams;
}
