/**
 * Much work over few hands: at most N pieces at a time, results in the order in which they come. The source is drawn
 * from only as there is room, and results that nobody has taken yet count as room taken, so memory does not grow with
 * the number of pieces.
 */
import { setMaxListeners } from "node:events";

/**
 * The first piece that fails ends the drawing; what is under way is finished and given out before its error is thrown.
 * `signal`, and a consumer that stops early, abort what is under way.
 */
export async function* inFlight<Piece, Result>(
  source: Iterable<Piece>,
  limit: number,
  work: (piece: Piece, signal: AbortSignal) => Promise<Result>,
  signal?: AbortSignal,
): AsyncGenerator<Result, void, undefined> {
  const stop = new AbortController();
  // Every piece under way listens.
  setMaxListeners(0, stop.signal);
  const abort = (): void => stop.abort();
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const pieces = source[Symbol.iterator]();
  const finished: Result[] = [];
  const underWay = new Set<Promise<void>>();
  let drawn = false;
  let failed: { readonly error: unknown } | undefined;
  try {
    for (;;) {
      while (!drawn && failed === undefined && underWay.size + finished.length < limit) {
        const next = pieces.next();
        if (next.done === true) {
          drawn = true;
          break;
        }
        const task: Promise<void> = work(next.value, stop.signal)
          .then(
            (result) => void finished.push(result),
            (error: unknown) => {
              failed ??= { error };
            },
          )
          .finally(() => underWay.delete(task));
        underWay.add(task);
      }
      const result = finished.shift();
      if (result !== undefined) yield result;
      else if (underWay.size > 0) await Promise.race(underWay);
      else if (failed !== undefined) throw failed.error;
      else return;
    }
  } finally {
    abort();
    signal?.removeEventListener("abort", abort);
    await Promise.all(underWay);
    pieces.return?.();
  }
}
