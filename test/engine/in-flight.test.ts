import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { watchSilence } from "#src/engine/http/ask-many.js";
import { inFlight } from "#src/engine/http/in-flight.js";

async function collect<T>(results: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const result of results) all.push(result);
  return all;
}

test("results come as they are finished, and at most the limit is under way", async () => {
  let [underWay, most] = [0, 0];
  const work = async (milliseconds: number): Promise<number> => {
    most = Math.max(most, ++underWay);
    await setTimeout(milliseconds);
    underWay--;
    return milliseconds;
  };
  expect(await collect(inFlight([60, 5, 20, 1], 3, work))).toEqual([5, 1, 20, 60]);
  expect(most).toBe(3);
  expect(await collect(inFlight([], 3, work))).toEqual([]);
});

test("nothing is drawn while nobody takes the results", async () => {
  let drawn = 0;
  function* source(): Generator<number> {
    for (;;) yield drawn++;
  }
  const results = inFlight(source(), 4, async (piece) => piece);
  await results.next();
  await setTimeout(20);
  expect(drawn).toBeLessThanOrEqual(5);
  await results.return();
});

test("after a failure nothing is begun, what is under way is given out, and the first error is thrown", async () => {
  const begun: number[] = [];
  const work = async (piece: number): Promise<number> => {
    begun.push(piece);
    await setTimeout(piece === 1 ? 5 : 20);
    if (piece === 1) throw new Error("the second");
    return piece;
  };
  const given: number[] = [];
  await expect(
    (async () => {
      for await (const result of inFlight([0, 1, 2, 3, 4, 5], 3, work)) given.push(result);
    })(),
  ).rejects.toThrow("the second");
  expect(begun).toEqual([0, 1, 2]);
  expect(given).toEqual([0, 2]);
});

test("a consumer that stops, and a signal, abort what is under way and wait for it", async () => {
  let ended = 0;
  const work = async (piece: number, signal: AbortSignal): Promise<number> => {
    if (piece > 0) await setTimeout(10_000, undefined, { signal }).catch(() => {});
    ended++;
    return piece;
  };
  for await (const _ of inFlight([0, 1, 2], 3, work)) break;
  expect(ended).toBe(3);
  const controller = new AbortController();
  const all = collect(inFlight([1, 2], 2, work, controller.signal));
  controller.abort();
  expect(await all).toEqual([1, 2]);
  expect(await collect(inFlight([1], 2, work, controller.signal))).toEqual([1]);
});

test("a server is gone after as many failures in a row as are in flight, and at least eight", () => {
  const failing = (concurrency: number, before: number): number => {
    const silence = watchSilence(concurrency, "judge x");
    for (let i = 0; i < before; i++) silence.failed("one");
    if (before > 0) silence.replied();
    for (let count = 1; ; count++) {
      try {
        silence.failed("no reply within 1 s");
      } catch (error) {
        expect(error).toMatchObject({
          exitCode: 1,
          message: `judge x: ${count} requests in a row got no reply (no reply within 1 s)`,
        });
        return count;
      }
    }
  };
  expect(failing(1, 0)).toBe(8);
  expect(failing(1, 7)).toBe(8);
  expect(failing(20, 0)).toBe(20);
});
