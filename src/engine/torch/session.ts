/**
 * A model that stays loaded: evaluations and chats ask many small questions, and starting Python for each would take
 * longer than the answers. A request is a job folder within the session's; the processes work on one after the other.
 */
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { inputError, internalError } from "../../errors.ts";
import { manners, type TorchContext } from "./context.ts";
import { type JobEvent, openEvents } from "./events.ts";
import { type JobSettings, writeSettings } from "./job.ts";
import { askToStop, explain, isDone, pause, type RunningJob, startJob } from "./launch.ts";

export interface Request<Result> {
  /** Writes the arrays into a folder and returns the settings, which are written last. */
  readonly write: (job: string) => Promise<JobSettings>;
  readonly read: (job: string) => Promise<Result>;
  readonly onEvent?: (event: JobEvent) => void;
  /** Aborted: the work ends as it is, and is read. */
  readonly signal?: AbortSignal;
}

export interface Session {
  /** Starts the processes with the first one. One after the other, in the order of the calls. */
  ask<Result>(request: Request<Result>): Promise<Result>;
  end(): Promise<void>;
}

const POLL_MILLISECONDS = 10;
/** Processes that hear nothing for ten minutes end by themselves. */
const ALIVE_MILLISECONDS = 20_000;
const END_MILLISECONDS = 30_000;

export function openSession(context: TorchContext, model: string): Session {
  let opened: Promise<Opened> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  const close = async (failed: boolean): Promise<void> => {
    const session = await opened?.catch(() => undefined);
    opened = undefined;
    await session?.close(failed);
  };
  const ask = async <Result>(request: Request<Result>): Promise<Result> => {
    opened ??= start(context, model);
    try {
      return await (await opened).ask(request);
    } catch (error) {
      // Whatever went wrong, the next one begins anew.
      await close(true);
      throw error;
    }
  };
  return {
    ask: (request) => {
      const answer = last.then(() => ask(request));
      last = answer.catch(() => {});
      return answer;
    },
    end: async () => {
      await last;
      await close(false);
    },
  };
}

interface Opened {
  ask<Result>(request: Request<Result>): Promise<Result>;
  /** `failed`: the folder stays, for what was printed there. */
  close(failed: boolean): Promise<void>;
}

async function start(context: TorchContext, model: string): Promise<Opened> {
  const { settings, facts } = context;
  if (settings.launch === "manual") {
    const reason = "asks for one small job after another, and each would have to be started by hand";
    throw inputError("launch: manual", `what evaluates or chats ${reason}; choose local, or a command`);
  }
  const folder = await mkdtemp(join(placeOf(context), "fusechat-torch-"));
  const alive = join(folder, "alive");
  await writeFile(alive, "");
  await writeSettings(folder, { kind: "session", model: resolve(model), ...manners(context) });
  const job = await startJob(folder, settings, facts);
  const heartbeat = setInterval(() => void utimes(alive, new Date(), new Date()).catch(() => {}), ALIVE_MILLISECONDS);
  heartbeat.unref();
  let count = 0;
  return {
    ask: async (request) => {
      const own = join(folder, `request-${String(count++).padStart(5, "0")}`);
      const written = await request.write(own);
      const events = await openEvents(join(own, "events.jsonl"));
      const stop = (): void => void askToStop(own).catch(job.kill);
      if (request.signal?.aborted) await askToStop(own);
      request.signal?.addEventListener("abort", stop, { once: true });
      try {
        await writeSettings(own, written);
        await doneOrEnded(own, folder, job, async () => {
          for (const event of await events.next()) request.onEvent?.(event);
        });
        return await request.read(own);
      } finally {
        request.signal?.removeEventListener("abort", stop);
        await rm(own, { recursive: true, force: true });
      }
    },
    close: async (failed) => {
      clearInterval(heartbeat);
      await askToStop(folder).catch(() => {});
      await Promise.race([job.ended.catch(() => {}), pause(END_MILLISECONDS)]);
      job.kill();
      if (!failed) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Until the request's result is there; throws where the processes end before. */
async function doneOrEnded(own: string, folder: string, job: RunningJob, listen: () => Promise<void>): Promise<void> {
  let ended: number | string | undefined;
  const end = job.ended.then((code) => {
    ended = code;
  });
  end.catch(() => {}); // the race below tells it
  while (!(await isDone(own))) {
    if (ended !== undefined) {
      await explain(folder, ended);
      throw internalError("a session without a request that says it is done");
    }
    await Promise.race([end, pause(POLL_MILLISECONDS)]);
    await listen();
  }
  await listen();
}

/** Other machines see the folder that a command is started in sooner than this one's folder of temporary files. */
function placeOf({ settings }: TorchContext): string {
  return settings.launch === "local" ? tmpdir() : process.cwd();
}
