/**
 * One process at a time in a directory or at a file. The lock is a file that names its process by id and start time, so
 * that neither a killed process keeps it nor an unrelated one that got the same id later. It appears whole (a hard link
 * to a finished file) and only one process can make it.
 */
import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { copyFile, link, readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { type FusechatError, inputError } from "../errors.ts";
import { fileError } from "./files.ts";

export interface Lock {
  release(): Promise<void>;
}

interface Holder {
  readonly pid: number;
  /** When the process started, in the operating system's own words; empty where it does not say. */
  readonly started: string;
}

/** Two tries suffice where the holder is dead; more only where others race for the same lock. */
const MOST_TRIES = 20;
/** A turn at taking a dead process's lock away takes less than a millisecond. */
const TURN_MILLISECONDS = 5;

/** Makes the lock file `path`; where a living process holds it, throws what `busy` says of its id. */
export async function acquireLock(path: string, busy: (pid: number) => FusechatError): Promise<Lock> {
  const own = `${path}.${process.pid}.tmp`;
  const content = JSON.stringify({ pid: process.pid, started: await startOf(process.pid) });
  try {
    await writeFile(own, `${content}\n`);
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      if (await tryLink(own, path)) return { release: () => release(path, content) };
      const text = await readOrEmpty(path);
      const holder = parseHolder(text);
      if (holder !== null && (await isAlive(holder))) throw busy(holder.pid);
      await removeStale(path, text, own);
    }
  } catch (error) {
    throw fileError(path, error);
  } finally {
    await rm(own, { force: true });
  }
  throw inputError(path, "other processes keep taking this lock; try again");
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
async function removeStale(path: string, staleText: string, own: string): Promise<void> {
  const turn = `${path}.stale.tmp`;
  if (!(await tryLink(own, turn))) {
    const holder = parseHolder(await readOrEmpty(turn));
    if (holder !== null && !(await isAlive(holder))) await rm(turn, { force: true });
    await setTimeout(TURN_MILLISECONDS);
    return;
  }
  try {
    if ((await readOrEmpty(path)) === staleText) await rm(path, { force: true });
  } finally {
    await rm(turn, { force: true });
  }
}

async function release(path: string, content: string): Promise<void> {
  if ((await readOrEmpty(path)).trim() === content) await rm(path, { force: true });
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return "";
  }
}

function parseHolder(text: string): Holder | null {
  try {
    const { pid, started } = JSON.parse(text);
    return Number.isSafeInteger(pid) && pid > 0 && typeof started === "string" ? { pid, started } : null;
  } catch {
    return null;
  }
}

async function isAlive({ pid, started }: Holder): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  const now = await startOf(pid);
  return started === "" || now === "" || now === started;
}

/** When a process started: clock ticks since this boot on Linux, a date where there is `ps`, else nothing. */
async function startOf(pid: number): Promise<string> {
  try {
    if (process.platform === "linux") {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8");
      const boot = (await readOrEmpty("/proc/sys/kernel/random/boot_id")).trim();
      // Field 22; the second field, the command in parentheses, may hold anything.
      return `${boot} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
    }
    if (process.platform === "win32") return "";
    const { stdout } = await promisify(execFile)("ps", ["-o", "lstart=", "-p", String(pid)], { env: { LC_ALL: "C" } });
    return stdout.trim();
  } catch {
    return "";
  }
}
