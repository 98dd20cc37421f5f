/**
 * Starts the Python package on a job folder and follows it to its end. What it does stands in `events.jsonl`, why it
 * failed in `error.json`, all it printed in `log.txt`; torchrun itself knows only of processes that died without a word.
 *
 * Ctrl-C writes the file `stop`: the job ends at its next step with a checkpoint. The processes form a group of their
 * own, so that the terminal's Ctrl-C reaches this program alone; where this program goes, the group goes with it.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve as resolvePath } from "node:path";
import { z } from "zod";
import { FusechatError, failure, inputError, throwIfInterrupted } from "../../errors.ts";
import { readChecked } from "../../formats/checked-json.ts";
import { exists, readText, writeFileAtomic } from "../../formats/files.ts";
import { type JobEvent, openEvents } from "./events.ts";
import { PACKAGE_FOLDER, type PythonFacts } from "./python.ts";
import type { TorchSettings } from "./settings.ts";

export interface Following {
  readonly onEvent: (event: JobEvent) => void;
  readonly signal?: AbortSignal;
}

const POLL_MILLISECONDS = 200;

/**
 * A module, ended by Linux when this program is, even by SIGKILL: alone torchrun would go on to the end, and hold the job's
 * lock meanwhile. Its workers end with it in the same way.
 */
const WITH_PARENT = `
import ctypes, os, runpy, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != int(os.environ["FUSECHAT_PID"]):
        sys.exit("its parent has ended")
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__")
`;

const LAUNCHERS_OWN = ["TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"];

/** `facts` of the Python are known where it is started here. Works on the job until `out/done.json` is there. Throws where it failed, or was stopped. */
export async function runJob(
  folder: string,
  settings: TorchSettings,
  facts: PythonFacts | null,
  following: Following,
): Promise<void> {
  if (await isDone(folder)) return;
  if (settings.launch === "manual") throw leftToRun(folder, settings);
  throwIfInterrupted(following.signal, folder);
  const events = await openEvents(join(folder, "events.jsonl"));
  const job = await startJob(folder, settings, facts);
  const stop = (): void => void askToStop(folder).catch(job.kill);
  following.signal?.addEventListener("abort", stop, { once: true });
  try {
    for (let running = true; running; ) {
      running = await Promise.race([job.ended.then(() => false), pause(POLL_MILLISECONDS).then(() => true)]);
      for (const event of await events.next()) following.onEvent(event);
    }
    await explain(folder, await job.ended, following.signal);
  } finally {
    following.signal?.removeEventListener("abort", stop);
    job.kill();
  }
}

/** Processes that work on a job, and go where this program goes. */
export interface RunningJob {
  /** Exit code or signal; rejected where nothing could be started. */
  readonly ended: Promise<number | string>;
  /** Ends them at once, where they are still there. */
  kill(): void;
}

export async function startJob(
  folder: string,
  settings: TorchSettings,
  facts: PythonFacts | null,
): Promise<RunningJob> {
  for (const name of ["stop", "error.json"]) await rm(join(folder, name), { force: true });
  const log = openSync(join(folder, "log.txt"), "a");
  const child = start(folder, settings, facts, log);
  closeSync(log);
  const killGroup = (): void => {
    // Without a process there is no group; 0 would be this program's own.
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  process.on("exit", killGroup);
  const ended = exitOf(child, settings);
  ended.catch(() => {}); // it may fail before anybody waits for it
  return {
    ended,
    kill: () => {
      process.removeListener("exit", killGroup);
      killGroup();
    },
  };
}

/** A job ends at its next step or token, a session when it has nothing to do. */
export function askToStop(folder: string): Promise<void> {
  return writeFileAtomic(join(folder, "stop"), "");
}

export function isDone(folder: string): Promise<boolean> {
  return exists(join(folder, "out", "done.json"));
}

/** Processes that this machine would run. */
export function processesOf({ processes, device }: TorchSettings, facts: PythonFacts | null): number {
  return processes ?? (device === "cpu" ? 1 : Math.max(1, facts?.cuda ?? 1));
}

function start(folder: string, settings: TorchSettings, facts: PythonFacts | null, log: number): ChildProcess {
  const processes = processesOf(settings, facts);
  const [program, ...before] =
    typeof settings.launch === "string"
      ? [settings.python, "-c", WITH_PARENT, ...moduleOf(processes, folder)]
      : settings.launch;
  // torchrun gives each of several processes one thread; on a processor they share its cores instead.
  const threads = Math.max(1, Math.floor(availableParallelism() / processes));
  return spawn(program!, [...before, folder], {
    stdio: ["ignore", log, log],
    detached: true,
    env: {
      OMP_NUM_THREADS: String(threads),
      ...process.env,
      PYTHONPATH: [PACKAGE_FOLDER, ...(process.env.PYTHONPATH === undefined ? [] : [process.env.PYTHONPATH])].join(":"),
      PYTHONUNBUFFERED: "1",
      FUSECHAT_PID: String(process.pid),
      // What a launcher around this program has set is not meant for this one.
      ...Object.fromEntries(LAUNCHERS_OWN.map((name) => [name, undefined])),
    },
  });
}

/** One process needs no torchrun, which takes seconds of its own to start. */
function moduleOf(processes: number, folder: string): string[] {
  return processes === 1 ? ["fusechat_torch"] : torchrunOf(String(processes), folder);
}

/** Its folders of logs are the job's, and go with it; by default each start leaves one where temporary files are. */
function torchrunOf(processes: string, folder: string): string[] {
  const options = ["--standalone", "--nproc-per-node", processes, "--log-dir", join(folder, "logs")];
  return ["torch.distributed.run", ...options, "-m", "fusechat_torch"];
}

/** Its exit code or signal; throws where it cannot be started. */
function exitOf(child: ChildProcess, { launch, python }: TorchSettings): Promise<number | string> {
  const name = typeof launch === "string" ? python : (launch[0] ?? python);
  return new Promise((resolve, reject) => {
    child.once("error", (error) => reject(failure(name, `could not be started (${error.message})`, error)));
    child.once("exit", (code, signal) => resolve(code ?? signal ?? 1));
  });
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, milliseconds));
}

const errorFile = z.object({ code: z.number(), message: z.string() });

/** Nothing where the job is done; else the error that it ended with. */
export async function explain(folder: string, ended: number | string, signal?: AbortSignal): Promise<void> {
  if (await isDone(folder)) return;
  if (ended === 0) throwIfInterrupted(signal, folder);
  const path = join(folder, "error.json");
  if (await exists(path)) {
    const { code, message } = await readChecked(path, errorFile, "the error of a job");
    throw code === 2 ? inputError(folder, message) : failure(folder, message);
  }
  const text = await readText(join(folder, "log.txt"));
  const died = ended === "SIGKILL" ? killed("the process") : deathIn(text);
  const reason = died ?? (ended === 0 ? "stopped before its end" : `ended with ${ended}: ${lastLine(text)}`);
  throw failure(folder, `${reason} (all it printed is in log.txt there); run the same command again to continue`);
}

/** A process that died without a word (SIGKILL, a segmentation fault) is known to torchrun alone. */
function deathIn(log: string): string | null {
  const found = [...log.matchAll(/rank\s+: (\d+)[^\n]*\n\s+exitcode\s+: -(\d+)/g)];
  const [, rank, signal] = found.filter(([, , number]) => number !== "15").at(-1) ?? [];
  if (rank === undefined) return null;
  return signal === "9" ? killed(`process ${rank}`) : `process ${rank} died of signal ${signal}`;
}

function killed(who: string): string {
  return `${who} was killed (signal 9), mostly for lack of main memory`;
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)?.slice(0, 200) ?? "";
}

/** `launch: manual`: the job is whole, and somebody else runs it. */
function leftToRun(folder: string, { processes, device }: TorchSettings): FusechatError {
  const count = String(processes ?? (device === "cpu" ? 1 : "gpu"));
  const job = resolvePath(folder);
  const line = `PYTHONPATH=${PACKAGE_FOLDER} python -m ${[...torchrunOf(count, job), job].join(" ")}`;
  return new FusechatError(
    "interrupted",
    `${folder}: the job is written; run this where the GPUs are, and then the same command again: ${line}`,
  );
}
