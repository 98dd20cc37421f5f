/**
 * One process at a time at a blob. Of our own processes a lock file sees to it; Python's hold the file beside it by
 * `flock`, which Node cannot call, so where the system has the program of that name it holds it for us, for as long as
 * this process lives.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { FusechatError, inputError, throwIfInterrupted } from "../errors.ts";
import { makeFolder } from "../formats/folders.ts";
import { acquireLock, type Lock } from "../formats/lock.ts";
import type { ModelCache } from "./cache.ts";
import type { HubConnection } from "./connection.ts";

const LOOK_AGAIN_MS = 200;
/** A holder on another host under whom nothing grows for so long has ended, or its line has. */
const STANDSTILL_MS = 120_000;

/** `progress` is what has come of the blob; it tells whether a holder that cannot be asked is at work. */
export async function lockBlob(
  { locks }: ModelCache,
  hash: string,
  progress: () => Promise<number>,
  { signal }: HubConnection,
  waiting: (who: string) => void,
): Promise<Lock> {
  await makeFolder(locks);
  const path = join(locks, `${hash}.fusechat.lock`);
  const own = await whenFree(path, progress, signal, waiting);
  try {
    const pythons = await flock(join(locks, `${hash}.lock`), signal, () => waiting("another program"));
    return {
      release: async () => {
        await pythons.release();
        await own.release();
      },
    };
  } catch (error) {
    await own.release();
    throw error;
  }
}

async function whenFree(
  path: string,
  progress: () => Promise<number>,
  signal: AbortSignal | undefined,
  waiting: (who: string) => void,
): Promise<Lock> {
  let told = false;
  let seen = { bytes: await progress(), at: performance.now() };
  for (;;) {
    throwIfInterrupted(signal, path);
    let holder: string | undefined;
    try {
      return await acquireLock(path, (who) => {
        holder = who;
        return inputError(path, `process ${who} is fetching this file and stands still`);
      });
    } catch (error) {
      if (holder === undefined || !(error instanceof FusechatError)) throw error;
      const bytes = await progress();
      if (bytes !== seen.bytes) seen = { bytes, at: performance.now() };
      const isElsewhere = holder.includes(" ");
      if (isElsewhere && performance.now() - seen.at > STANDSTILL_MS) throw error;
    }
    if (!told) waiting(`process ${holder}`);
    told = true;
    await wait(LOOK_AGAIN_MS, undefined, signal === undefined ? {} : { signal }).catch(() => {});
  }
}

const NONE: Lock = { release: async () => {} };
/** Longer than a free lock takes to be had. */
const SOON_MS = 1000;

/** Holds a file as Python does. Where that cannot be, nothing is held: then a file may come twice, and is right twice. */
function flock(path: string, signal: AbortSignal | undefined, waiting: () => void): Promise<Lock> {
  if (process.platform !== "linux") return Promise.resolve(NONE);
  return new Promise((done, fail) => {
    // `cat` ends with its input, which ends with this process, however that ends.
    const child = spawn("flock", [path, "sh", "-c", "echo; exec cat"], { stdio: ["pipe", "pipe", "ignore"] });
    const ended = new Promise<void>((end) => child.once("close", () => end()));
    const timer = setTimeout(waiting, SOON_MS);
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", interrupt);
    };
    const interrupt = (): void => {
      settle();
      child.kill();
      try {
        throwIfInterrupted(signal, path);
      } catch (error) {
        fail(error);
      }
    };
    signal?.addEventListener("abort", interrupt, { once: true });
    child.stdin.on("error", () => {});
    child.once("error", () => {
      settle();
      done(NONE);
    });
    child.once("close", () => {
      settle();
      done(NONE);
    });
    child.stdout.once("data", () => {
      settle();
      done({
        release: async () => {
          child.stdin.end();
          await ended;
        },
      });
    });
  });
}
