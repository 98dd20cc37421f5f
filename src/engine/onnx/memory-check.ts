/**
 * Refusals of what will not fit into memory, before anything is loaded: a machine that swaps is stuck for hours, and one
 * that does not swap kills the process without a word. What is needed is an estimate, so nothing is refused that fits by
 * any chance: memory that the system can take back from its file cache counts as available.
 */
import { freemem, platform, totalmem } from "node:os";
import { failure } from "../../errors.ts";

/** The figures of the operating system, bytes. */
export interface MemoryFigures {
  readonly platform: NodeJS.Platform;
  readonly total: number;
  /** On Linux and Windows with the file cache, on macOS only what nobody has used. */
  readonly free: number;
  /** What a container or batch system grants; 0, or more than there is, where nothing is limited. */
  readonly limit: number;
  /** Resident memory of this process. */
  readonly resident: number;
}

/** Bytes that this process can still take. */
export function availableMemory(figures: MemoryFigures = systemMemory()): number {
  const { total, free, limit, resident } = figures;
  // macOS keeps files in memory until it is asked for; its free pages are always few.
  const unused = figures.platform === "darwin" ? total - resident : free;
  const limited = limit > 0 && limit < total ? limit - resident : Number.POSITIVE_INFINITY;
  return Math.max(0, Math.min(unused, limited));
}

function systemMemory(): MemoryFigures {
  return {
    platform: platform(),
    total: totalmem(),
    free: freemem(),
    limit: process.constrainedMemory(),
    resident: process.memoryUsage.rss(),
  };
}

/**
 * Throws where `neededBytes` more than this process has are not available. `where` names the model, `what` the need
 * (`"training it"`).
 */
export function refuseBeyondMemory(
  where: string,
  neededBytes: number,
  what: string,
  available: number = availableMemory(),
): void {
  if (neededBytes <= available) return;
  throw failure(
    where,
    `${what} needs ${gigabytes(neededBytes)} of memory, and ${gigabytes(available)} are available; ` +
      "close other programs, or use a machine with more memory or a smaller model",
  );
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
