/**
 * The one error class of the project, and the exit code each kind of failure ends with (FORMATS: 0 done, 1 failed,
 * 2 the command line, recipe or an input file is wrong, 3 an evaluation gate was not met, 130 interrupted).
 *
 * A message reads: where: what was expected, what was found; what to do next. One sentence.
 */
import { excerptOf, LISTED_PROBLEMS, readableLines } from "./excerpt.ts";

export type ErrorCode = "input" | "failed" | "gate" | "interrupted" | "internal";

const EXIT_CODES: Readonly<Record<ErrorCode, number>> = { input: 2, failed: 1, gate: 3, interrupted: 130, internal: 1 };

/** An error whose message is meant for the user: printed without a stack, ending the process with `exitCode`. */
export class FusechatError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(readableLines(message), cause === undefined ? undefined : { cause });
    this.name = "FusechatError";
    this.code = code;
  }

  get exitCode(): number {
    return EXIT_CODES[this.code];
  }
}

/** A wrong command line, recipe or input file (exit code 2). `where` names the file and the place in it. */
export function inputError(where: string, problem: string, cause?: unknown): FusechatError {
  return new FusechatError("input", `${where}: ${problem}`, cause);
}

/**
 * What is well made and cannot be used here, or is not there: an architecture that is not known, a model without weights.
 * Who needs it hears of it as of a wrong input; who only tells what there is (`inspect`) has found nothing wrong.
 */
export class Limitation extends FusechatError {
  constructor(where: string, problem: string, cause?: unknown) {
    super("input", `${where}: ${problem}`, cause);
  }
}

/** Something that went wrong while working, such as a full disk (exit code 1). */
export function failure(where: string, problem: string, cause?: unknown): FusechatError {
  return new FusechatError("failed", `${where}: ${problem}`, cause);
}

/** A broken invariant of this program: never the user's fault. */
export function internalError(problem: string): FusechatError {
  return new FusechatError("internal", `internal: ${problem}; please report this`);
}

/** Several errors found in one pass (a recipe, a data file), told together: twenty of them, and how many more there are. */
export function inputErrors(messages: readonly string[]): FusechatError {
  const listed = messages.slice(0, LISTED_PROBLEMS);
  const more = messages.length - listed.length;
  if (more > 0) listed.push(`and ${more} more ${more === 1 ? "problem" : "problems"}`);
  return new FusechatError("input", listed.join("\n"));
}

/** Throws the error that Ctrl-C stands for. Call it between units of work, never inside one. */
export function throwIfInterrupted(signal: AbortSignal | undefined, where: string): void {
  if (signal?.aborted) {
    throw new FusechatError("interrupted", `${where}: interrupted; run the same command again to continue`);
  }
}

/**
 * Works without noting where errors are thrown. A stack costs some 10 microseconds, which does not matter once; a megabyte
 * of foreign records may hold half a million with an error each.
 */
export function withoutStacks<T>(work: () => T): T {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return work();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** The time of a comparison is that of both lengths multiplied. */
const LONGEST_WORD = 200;

/** The candidate nearest to a misspelt word, or undefined where none is near (more than a third of it differs). */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > LONGEST_WORD) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(Math.max(word.length, 3) / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** What a caught value says; it may be anything. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : excerptOf(error);
}

/** The same of a library that was given a damaged file; what only its author understands is left out. */
export function libraryReason(error: unknown): string {
  const said = reasonOf(error).split("\n")[0]!;
  return /undefined|\bNaN\b|\[object|is not a function|not iterable|Cannot |argument must/.test(said)
    ? "it is damaged"
    : said;
}

/** `; did you mean "x"?`, or nothing. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const best = nearest(word, candidates);
  return best === undefined ? "" : `; did you mean "${best}"?`;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substitution, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
