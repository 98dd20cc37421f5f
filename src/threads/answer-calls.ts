/** The inside of a thread: calls are answered one at a time, and news is told in between. */
import { parentPort, type Transferable, workerData } from "node:worker_threads";
import { FusechatError, internalError } from "../errors.ts";
import type { Callable, Reply, Request } from "./messages.ts";

/** What of a call's output moves to the caller instead of being copied. */
export type Moved<Work extends Callable<Work>> = {
  readonly [Name in keyof Work]?: (output: Awaited<ReturnType<Work[Name]>>) => readonly Transferable[];
};

/** All that a thread's script does: the work is made once, of what the thread was started with. */
export function answerCalls<Setup, News, Work extends Callable<Work>>(
  createWork: (setup: Setup, tell: (news: News) => void) => Work,
  moved: Moved<Work> = {},
): void {
  const port = parentPort;
  if (port === null) throw internalError("the script of a thread was run by itself");
  const reply = (message: Reply, transfer: readonly Transferable[] = []): void => port.postMessage(message, transfer);
  const work = createWork(workerData as Setup, (news) => reply({ news }));
  port.on("message", async ({ call, input }: Request) => {
    try {
      // The calling side has the types of the same work.
      const name = call as keyof Work;
      const output = (await work[name](input as never)) as Awaited<ReturnType<Work[keyof Work]>>;
      reply({ output }, moved[name]?.(output));
    } catch (error) {
      const known = error instanceof FusechatError ? error : internalError(`${call}: ${(error as Error).stack}`);
      reply({ error: { code: known.code, message: known.message } });
    }
  });
}
