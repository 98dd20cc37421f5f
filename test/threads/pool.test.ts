import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inputError } from "#src/errors.js";
import { openThreadPool, type ThreadPool } from "#src/threads/pool.js";

interface Work {
  /** The square, after so many milliseconds. */
  square(task: { readonly of: number; readonly after: number }): Promise<number>;
  refuse(place: string): Promise<never>;
  /** Throws what is no error of this program. */
  break(nothing: null): Promise<never>;
  /** Ends the thread. */
  leave(code: number): Promise<never>;
  closed(): Promise<null>;
}

const answerCalls = new URL("../../dist/threads/answer-calls.js", import.meta.url);
const errors = new URL("../../dist/errors.js", import.meta.url);
const SCRIPT = `
import { answerCalls } from ${JSON.stringify(answerCalls.href)};
import { inputError } from ${JSON.stringify(errors.href)};
answerCalls((setup, tell) => ({
  square: async ({ of, after }) => {
    await new Promise((resolve) => setTimeout(resolve, after));
    tell(of);
    return of * of;
  },
  refuse: async (place) => { throw inputError(place, setup.problem); },
  break: async () => { undefined.of; },
  leave: async (code) => process.exit(code),
  closed: async () => { tell("closed"); return null; },
}));
`;

const setup = { problem: "expected a number, found none" };
let root: string;
let script: URL;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-threads-"));
  const path = join(root, "work.mjs");
  await writeFile(path, SCRIPT);
  script = pathToFileURL(path);
});
afterAll(() => rm(root, { recursive: true }));

function open(threads: number, news: unknown[] = [], signal?: AbortSignal): ThreadPool<Work> {
  const pause = (after: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, after));
  return openThreadPool<typeof setup, unknown, Work>({
    threads,
    setup,
    script,
    stage: "squares",
    signal,
    onNews: (one) => news.push(one),
    here: () => ({
      square: async ({ of, after }) => {
        await pause(after);
        news.push(of);
        return of * of;
      },
      refuse: async (place) => {
        throw inputError(place, setup.problem);
      },
      break: () => Promise.reject(new TypeError("of nothing")),
      leave: () => Promise.reject(new Error("only a thread can be left")),
      closed: async () => {
        news.push("closed");
        return null;
      },
    }),
    there: ({ call }) => ({
      square: (task) => call("square", task),
      refuse: (place) => call("refuse", place),
      break: (nothing) => call("break", nothing),
      leave: (code) => call("leave", code),
      closed: () => call("closed", undefined),
    }),
    close: (work) => work.closed(),
  });
}

describe.each([1, 2, 3])("a pool of %i", (threads) => {
  test("gives results in the order of the tasks, whoever is done first, and tells news", async () => {
    const news: unknown[] = [];
    const pool = open(threads, news);
    const results = await pool.each(5, (work, task) => work.square({ of: task, after: 5 * (5 - task) }));
    expect(results).toEqual([0, 1, 4, 9, 16]);
    expect([...news].sort()).toEqual([0, 1, 2, 3, 4]);
    expect(await pool.all((work) => work.square({ of: 3, after: 0 }))).toEqual(new Array(threads).fill(9));
    await pool.dispose();
    expect(news.filter((one) => one === "closed")).toHaveLength(threads);
  });

  test("throws the first task's error, with class, code and message, and begins no more tasks", async () => {
    const pool = open(threads);
    const begun: number[] = [];
    const failing = pool.each(9, async (work, task) => {
      begun.push(task);
      // Later tasks fail sooner.
      if (task === 0) await work.square({ of: 1, after: 50 });
      await work.refuse(`task ${task}`);
    });
    await expect(failing).rejects.toMatchObject({
      name: "FusechatError",
      code: "input",
      exitCode: 2,
      message: "task 0: expected a number, found none",
    });
    expect(begun.length).toBeLessThanOrEqual(threads);
    await pool.dispose();
  });

  test("ends with the error of an interruption, whatever else went wrong", async () => {
    const controller = new AbortController();
    const pool = open(threads, [], controller.signal);
    const interrupted = pool.each(9, async (work, task) => {
      if (task === 0) controller.abort();
      await work.refuse(`task ${task}`);
    });
    await expect(interrupted).rejects.toMatchObject({ exitCode: 130 });
    await pool.dispose();
  });
});

test("an interruption ends calls under way in threads at once, and closes nothing", async () => {
  const news: unknown[] = [];
  const controller = new AbortController();
  const pool = open(2, news, controller.signal);
  const begun = performance.now();
  setTimeout(() => controller.abort(), 20);
  const long = pool.each(2, (work, task) => work.square({ of: task, after: 60_000 }));
  await expect(long).rejects.toMatchObject({ code: "interrupted", message: expect.stringMatching(/^squares: /) });
  await pool.dispose();
  expect(performance.now() - begun).toBeLessThan(30_000);
  expect(news).toEqual([]);
});

test("what a thread did not expect is an internal error that names the call", async () => {
  const pool = open(2);
  const broken = pool.each(1, (work) => work.break(null));
  await expect(broken).rejects.toMatchObject({ code: "internal", message: expect.stringMatching(/break: TypeError/) });
  await pool.dispose();
});

test("a thread that ends by itself fails its call and every later one", async () => {
  const pool = open(2);
  const left = { code: "failed", message: "squares: a thread ended with code 3" };
  await expect(pool.each(1, (work) => work.leave(3))).rejects.toMatchObject(left);
  await expect(pool.each(1, (work) => work.square({ of: 1, after: 0 }))).rejects.toMatchObject(left);
  await pool.dispose();
});
