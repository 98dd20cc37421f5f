/**
 * One process at a time in a directory or at a file. The lock is a file that names its process by host, id and start
 * time, so that neither a killed process keeps it nor an unrelated one that got the same id later. It appears whole (a
 * hard link to a finished file) and only one process can make it. A process of another host, or of another container of
 * this one, cannot be asked whether it lives: its lock stands until somebody takes it away by hand.
 */
import { execFile } from "node:child_process";
import { randomInt } from "node:crypto";
import { constants } from "node:fs";
import { copyFile, link, readdir, readFile, readlink, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { FusechatError, inputError } from "../errors.ts";
import { fileError, systemCode } from "./file-error.ts";
import { exists } from "./files.ts";
import { makeFolder } from "./folders.ts";
import { removeLeftovers } from "./leftovers.ts";

export interface Lock {
  release(): Promise<void>;
}

interface Holder {
  readonly pid: number;
  /** When the process started, in the operating system's own words; empty where it does not say. */
  readonly started: string;
  readonly host: string;
  /** Within which process ids mean something: this boot and container; empty where the system does not say. */
  readonly space: string;
}

/** Two tries suffice where the holder is dead; more only where others race for the same lock. */
const MOST_TRIES = 20;
/** A turn at taking a dead process's lock away takes less than a millisecond. */
const TURN_MILLISECONDS = 5;

/** The name of a folder's lock in it. */
export const LOCK_FILE = ".lock";

/**
 * Makes the lock file `path`; where a living process holds it, throws what `busy` says of it: `12`, or `12 of host a`
 * where nobody here can know whether it lives.
 */
export async function acquireLock(path: string, busy: (holder: string) => FusechatError): Promise<Lock> {
  const own = claimTo(path);
  const self = await ownHolder();
  const content = JSON.stringify(self);
  try {
    await writeFile(own, `${content}\n`);
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      if (await tryLink(own, path)) {
        await removeDead(path, self);
        return { release: () => release(path, content) };
      }
      const text = await readLock(path);
      const holder = parseHolder(text);
      if (holder !== null && isElsewhere(holder, self)) {
        const { code, message } = busy(`${holder.pid} of host ${JSON.stringify(holder.host)}`);
        throw new FusechatError(code, `${message}; if that process has ended, remove ${path}`);
      }
      if (holder !== null && (await isAlive(holder))) throw busy(String(holder.pid));
      await removeStale(path, text, { file: own, holder: self });
    }
  } catch (error) {
    throw fileError(path, error);
  } finally {
    await rm(own, { force: true });
  }
  throw inputError(path, "other processes keep taking this lock; try again");
}

/** Takes a lock away whose process has ended: of a file that is only read, nobody else would. One that is held stays. */
export async function removeDeadLock(path: string): Promise<void> {
  const own = claimTo(path);
  try {
    const text = await readLock(path);
    const holder = parseHolder(text);
    const self = await ownHolder();
    if (holder === null || isElsewhere(holder, self) || (await isAlive(holder))) return;
    await writeFile(own, `${JSON.stringify(self)}\n`);
    await removeStale(path, text, { file: own, holder: self });
  } catch {
    // Where nothing may be written, it stays, and is nobody's concern.
  } finally {
    await rm(own, { force: true }).catch(() => {});
  }
}

/** Two hosts can have a process of the same id. */
function claimTo(path: string): string {
  return `${path}.${process.pid}${randomInt(1e9)}.tmp`;
}

async function ownHolder(): Promise<Holder> {
  return { pid: process.pid, started: await startOf(process.pid), host: hostname(), space: await processSpace() };
}

/**
 * Locks a folder that a stage writes, and makes it where it is missing; what a killed process was writing there goes. What was made and is still empty when the lock
 * is released goes again.
 */
export async function lockFolder(folder: string): Promise<Lock> {
  const lock = await lockIn(folder, LOCK_FILE, folder);
  try {
    await removeLeftovers(folder);
    return lock;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** The same for a folder that appears whole: its lock stands beside it, and only the folder around it is made. */
export function lockFolderToCome(folder: string): Promise<Lock> {
  const path = resolve(folder);
  return lockIn(dirname(path), `${basename(path)}${LOCK_FILE}`, folder);
}

async function lockIn(folder: string, name: string, what: string): Promise<Lock> {
  const made = await missingFolders(folder);
  await makeFolder(folder);
  const removeMade = async (): Promise<void> => {
    // Refuses where a folder is not empty.
    for (const path of made) await rmdir(path).catch(() => {});
  };
  try {
    const lock = await acquireLock(join(folder, name), (holder) =>
      inputError(what, `process ${holder} is writing to this folder; wait for it, or choose another folder`),
    );
    return {
      release: async () => {
        await lock.release();
        await removeMade();
      },
    };
  } catch (error) {
    await removeMade();
    throw error;
  }
}

/** The folders on the way to `path` that are not there, innermost first. */
async function missingFolders(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let folder = resolve(path); !(await exists(folder)) && folder !== dirname(folder); folder = dirname(folder)) {
    missing.push(folder);
  }
  return missing;
}

/** File systems without hard links (FAT, some network shares) get a copy, which is as exclusive and nearly as whole. */
async function tryLink(from: string, to: string): Promise<boolean> {
  for (const make of [link, (a: string, b: string) => copyFile(a, b, constants.COPYFILE_EXCL)]) {
    try {
      await make(from, to);
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") return false;
      if (make !== link || !["EPERM", "ENOTSUP", "ENOSYS"].includes(code ?? "")) throw error;
    }
  }
  return false;
}

/**
 * Takes a dead process's lock away. Only who holds the second lock may, and looks again before: between looking and
 * taking away, nobody else can have made a new lock in its place.
 */
async function removeStale(
  path: string,
  staleText: string,
  own: { readonly file: string; readonly holder: Holder },
): Promise<void> {
  const turn = `${path}.stale.tmp`;
  if (!(await tryLink(own.file, turn))) {
    const holder = parseHolder(await readLock(turn));
    if (holder !== null && !isElsewhere(holder, own.holder) && !(await isAlive(holder)))
      await rm(turn, { force: true });
    await setTimeout(TURN_MILLISECONDS);
    return;
  }
  try {
    if ((await readLock(path)) === staleText) await rm(path, { force: true });
  } finally {
    await rm(turn, { force: true });
  }
}

/** A claim stands for milliseconds: an empty one of this age is nobody's. */
const OLDEST_CLAIM_MILLISECONDS = 60_000;

/** Processes that were killed while they asked for this lock have left their claims to it. */
async function removeDead(path: string, self: Holder): Promise<void> {
  const prefix = `${basename(path)}.`;
  for (const name of await readdir(dirname(path)).catch(() => [])) {
    if (!name.startsWith(prefix) || !/^\d+\.tmp$/.test(name.slice(prefix.length))) continue;
    const claim = join(dirname(path), name);
    const holder = parseHolder(await readLock(claim).catch(() => ""));
    if (holder === null ? await isOld(claim) : !isElsewhere(holder, self) && !(await isAlive(holder)))
      await rm(claim, { force: true });
  }
}

async function isOld(path: string): Promise<boolean> {
  return stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs > OLDEST_CLAIM_MILLISECONDS,
    () => false,
  );
}

async function release(path: string, content: string): Promise<void> {
  if ((await readLock(path)).trim() === content) await rm(path, { force: true });
}

/** Empty where the lock is gone. One that cannot be read is not taken for one that holds nothing. */
async function readLock(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return "";
    throw fileError(path, error);
  }
}

function parseHolder(text: string): Holder | null {
  try {
    const { pid, started, host = hostname(), space = "" } = JSON.parse(text);
    const isHolder =
      Number.isSafeInteger(pid) && pid > 0 && [started, host, space].every((member) => typeof member === "string");
    return isHolder ? { pid, started, host, space } : null;
  } catch {
    return null;
  }
}

/** A process of this host whose space is another has ended where the machine was started anew since, and only there. */
function isElsewhere(holder: Holder, self: Holder): boolean {
  if (holder.host !== self.host) return true;
  if (holder.space === "" || self.space === "" || holder.space === self.space) return false;
  return bootOf(holder.space) === bootOf(self.space);
}

function bootOf(space: string): string {
  return space.split(" ")[0]!;
}

/** Of a holder on this host. */
async function isAlive({ pid, started }: Holder): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  if (await hasEnded(pid)) return false;
  const now = await startOf(pid);
  return started === "" || now === "" || now === started;
}

/** A killed process keeps its id until its parent has heard of it, which may never be. */
async function hasEnded(pid: number): Promise<boolean> {
  if (process.platform !== "linux") return false;
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const state = stat.slice(stat.lastIndexOf(")") + 2)[0] ?? "";
  return state === "Z" || state === "X";
}

/** On Linux the boot and the namespace of process ids, in which a container has its own. */
async function processSpace(): Promise<string> {
  if (process.platform !== "linux") return "";
  return `${await bootId()} ${await readlink("/proc/self/ns/pid").catch(() => "")}`.trim();
}

async function bootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "")).trim();
}

/** When a process started: clock ticks since this boot on Linux, a date where there is `ps`, else nothing. */
async function startOf(pid: number): Promise<string> {
  try {
    if (process.platform === "linux") {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8");
      // Field 22; the second field, the command in parentheses, may hold anything.
      return `${await bootId()} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
    }
    if (process.platform === "win32") return "";
    const { stdout } = await promisify(execFile)("ps", ["-o", "lstart=", "-p", String(pid)], { env: { LC_ALL: "C" } });
    return stdout.trim();
  } catch {
    return "";
  }
}
