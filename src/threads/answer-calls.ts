/** The inside of a thread: calls are answered one at a time, and news is told in between. */
import { parentPort, workerData } from "node:worker_threads";
import { FusechatError, internalError } from "../errors.ts";
import type { Callable, Reply, Request } from "./messages.ts";

/** All that a thread's script does: the work is made once, of what the thread was started with. */
export function answerCalls<Setup, News, Work extends Callable<Work>>(
  createWork: (setup: Setup, tell: (news: News) => void) => Work,
): void {
  const port = parentPort;
  if (port === null) throw internalError("the script of a thread was run by itself");
  const reply = (message: Reply): void => port.postMessage(message);
  const work = createWork(workerData as Setup, (news) => reply({ news }));
  port.on("message", async ({ call, input }: Request) => {
    try {
      // The calling side has the types of the same work.
      const answer = work[call as keyof Work];
      reply({ output: await answer(input as never) });
    } catch (error) {
      const known = error instanceof FusechatError ? error : internalError(`${call}: ${(error as Error).stack}`);
      reply({ error: { code: known.code, message: known.message } });
    }
  });
}
