/**
 * A process of its own for what foreign files make a program do: templates, regular expressions of tokenizers, columnar
 * containers. A thread does not suffice for it: native code ends the whole process where it fails, V8 does where one
 * allocation exceeds a heap, and array buffers count towards no limit of a thread. The process is started at the
 * first call and reused; one that exceeded a limit or died fails the call under way, and the next call starts another.
 */
import { type ChildProcess, fork } from "node:child_process";
import type { Socket } from "node:net";
import { FusechatError, failure } from "../errors.ts";
import type { Answer, Callable } from "../threads/messages.ts";
import type { SandboxRequest } from "./answer.ts";
import { type CallLimits, OVER_LIMIT } from "./limits.ts";

export type { CallLimits } from "./limits.ts";

/** Why a call ended its process: `needs more than 200 MB of memory`, to be put behind what was called. */
export class SandboxDeath extends Error {}

export interface Sandbox<Work extends Callable<Work>> {
  /** Calls are answered in order. What is thrown inside arrives with its code; a call that ends the process is a `SandboxDeath`. */
  call<Name extends keyof Work & string>(
    name: Name,
    input: Parameters<Work[Name]>[0],
    limits: CallLimits,
  ): Promise<Awaited<ReturnType<Work[Name]>>>;
  /** False where no call has started it, or the last one ended it: what it held is gone. */
  readonly isRunning: boolean;
  /** Ends the process, whatever it is doing. */
  close(): Promise<void>;
}

export interface SandboxOptions {
  /** The built script, which does nothing but `answerSandbox`. */
  readonly script: URL;
  /** Who its errors speak of. */
  readonly stage: string;
  /** Largest heap of JavaScript values, megabytes; the limit of a call may be lower. */
  readonly heapMb: number;
}

export function openSandbox<Work extends Callable<Work>>(options: SandboxOptions): Sandbox<Work> {
  let running: RunningProcess | undefined;
  let last: Promise<void> = Promise.resolve();
  const ask = (request: SandboxRequest): Promise<unknown> => {
    if (running === undefined || running.hasEnded) running = startProcess(options);
    return running.ask(request);
  };
  return {
    call: (call, input, limits) => {
      const answer = last.then(() => ask({ call, input, limits }));
      last = answer.then(
        () => {},
        () => {},
      );
      // The process answers with what the function of this name returns.
      return answer as Promise<never>;
    },
    get isRunning() {
      return running?.hasEnded === false;
    },
    close: async () => {
      await running?.end();
    },
  };
}

interface RunningProcess {
  readonly hasEnded: boolean;
  ask(request: SandboxRequest): Promise<unknown>;
  end(): Promise<void>;
}

/** The end of what the process wrote on its standard error says why it died. */
const KEPT_CHARACTERS = 1 << 14;
const LONGEST_REASON = 200;

function startProcess({ script, stage, heapMb }: SandboxOptions): RunningProcess {
  const { NODE_OPTIONS: _, ...environment } = process.env;
  const child = fork(script, {
    execArgv: [`--max-old-space-size=${heapMb}`],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: environment,
  });
  let told = "";
  child.stderr?.setEncoding("utf8");
  child.stderr?.on("data", (text: string) => {
    told = (told + text).slice(-KEPT_CHARACTERS);
  });
  let hasEnded = false;
  let settle: ((outcome: Answer | Error) => void) | undefined;
  let limits: CallLimits | undefined;
  const closed = new Promise<void>((resolve) => {
    const end = (error: Error): void => {
      hasEnded = true;
      settle?.(error);
      resolve();
    };
    // After the last of what it wrote has been read.
    child.on("close", (code, signal) => end(new SandboxDeath(reasonOf(told, signal ?? `code ${code}`, limits))));
    child.on("error", (error) => {
      if (child.pid === undefined) end(failure(stage, `a process could not be started: ${error.message}`, error));
    });
  });
  child.on("message", (answer: Answer) => settle?.(answer));
  keepAlive(child, false);
  const ask = (request: SandboxRequest): Promise<unknown> =>
    new Promise((resolve, reject) => {
      keepAlive(child, true);
      limits = request.limits;
      settle = (outcome) => {
        settle = undefined;
        keepAlive(child, false);
        if (outcome instanceof Error) reject(outcome);
        else if ("error" in outcome) reject(new FusechatError(outcome.error.code, outcome.error.message));
        else resolve(outcome.output);
      };
      child.send(request, (error) => {
        // A process that has just died has no channel any more; why it died is told when it has closed.
        if (error !== null && hasEnded) settle?.(new SandboxDeath("had ended its process"));
      });
    });
  return {
    get hasEnded() {
      return hasEnded;
    },
    ask,
    end: async () => {
      if (hasEnded) return;
      child.kill("SIGKILL");
      await closed;
    },
  };
}

/** A process that waits must not keep this one alive; one that works does. */
function keepAlive(child: ChildProcess, isNeeded: boolean): void {
  for (const held of [child, child.channel, child.stderr as Socket | null]) {
    if (isNeeded) held?.ref();
    else held?.unref();
  }
}

function reasonOf(told: string, end: string, limits: CallLimits | undefined): string {
  const memory = `needs more than ${limits?.memoryMb} MB of memory`;
  if (told.includes(OVER_LIMIT.memory)) return memory;
  if (told.includes(OVER_LIMIT.time)) return `does not end within ${limits?.seconds} s of processor time`;
  if (/out of memory|allocation failed|memory allocation of \d+ bytes failed/i.test(told)) return memory;
  const panic = /panicked at [^\n]*\n([^\n]*)/.exec(told)?.[1];
  if (panic !== undefined) return `fails in native code: ${panic.slice(0, LONGEST_REASON)}`;
  return `ended its process with ${end}`;
}
