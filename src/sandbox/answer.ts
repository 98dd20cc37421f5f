/** The inside of a sandbox: calls are answered one at a time, each under its limits. */
import { Worker } from "node:worker_threads";
import { FusechatError, internalError } from "../errors.ts";
import type { Answer, Callable } from "../threads/messages.ts";
import { type CallLimits, processorMicroseconds, sharedMemory, watchedCall } from "./limits.ts";

export interface SandboxRequest {
  readonly call: string;
  readonly input: unknown;
  readonly limits: CallLimits;
}

/** All that the script of a sandbox does. */
export function answerSandbox<Work extends Callable<Work>>(work: Work): void {
  if (process.send === undefined) throw internalError("the script of a sandbox was run by itself");
  const shared = sharedMemory();
  const { call: underWay, limits: watched } = watchedCall(shared);
  const watch = new Worker(new URL("./watch.js", import.meta.url), { workerData: shared });
  watch.on("error", (error) => {
    throw error;
  });
  let number = 0;
  process.on("message", async ({ call, input, limits }: SandboxRequest) => {
    watched[0] = limits.memoryMb * 1e6;
    watched[1] = processorMicroseconds();
    watched[2] = limits.seconds * 1e6;
    number = (number % 0x7fffffff) + 1;
    Atomics.store(underWay, 0, number);
    Atomics.notify(underWay, 0);
    let answer: Answer;
    try {
      // The calling side has the types of the same work.
      answer = { output: await work[call as keyof Work](input as never) };
    } catch (error) {
      const known = error instanceof FusechatError ? error : internalError(`${call}: ${(error as Error).stack}`);
      answer = { error: { code: known.code, message: known.message } };
    }
    process.send?.(answer);
    Atomics.store(underWay, 0, 0);
    Atomics.notify(underWay, 0);
  });
  process.on("disconnect", () => process.exit());
  // A parent that was killed while this process started has said so before anybody listened.
  if (!process.connected) process.exit();
  // Ctrl-C and a termination request reach all processes of a terminal; when this one ends is for its parent to say.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});
}
