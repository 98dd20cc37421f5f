/**
 * The outside of a thread: its functions are called as if they were here, one at a time. An error that is thrown inside
 * arrives with its code and its message; a thread that stops fails the call under way and all later ones.
 */
import { type Transferable, Worker } from "node:worker_threads";
import { FusechatError, failure } from "../errors.ts";
import type { Answer, Callable, Reply, Request } from "./messages.ts";

export interface ThreadOptions<Setup, News> {
  /** The built script, which does nothing but `answerCalls`. */
  readonly script: URL;
  readonly setup: Setup;
  /** Who its errors speak of. */
  readonly stage: string;
  readonly onNews?: (news: News) => void;
}

export interface Thread<Work extends Callable<Work>> {
  /** `moved` goes to the thread instead of being copied, and is empty here afterwards. */
  call<Name extends keyof Work & string>(
    name: Name,
    input: Parameters<Work[Name]>[0],
    moved?: readonly Transferable[],
  ): Promise<Awaited<ReturnType<Work[Name]>>>;
  /** Ends the call under way with an error, and every later one. */
  interrupt(): void;
  readonly interrupted: boolean;
  /** Stops the thread, whatever it is doing. */
  terminate(): Promise<void>;
}

/** Threads work on arrays, and their few objects are soon done with: by default those may pile up to 48 MB. */
const YOUNG = { maxYoungGenerationSizeMb: 4 };

export function startThread<Setup, News, Work extends Callable<Work>>({
  script,
  setup,
  stage,
  onNews,
}: ThreadOptions<Setup, News>): Thread<Work> {
  const worker = new Worker(script, { execArgv: [], workerData: setup, resourceLimits: YOUNG });
  // Set while a call is under way.
  let settle: ((answer: Answer) => void) | undefined;
  let ended: FusechatError | undefined;
  const stop = (error: FusechatError): void => {
    ended ??= error;
    settle?.({ error: ended });
  };
  worker.on("message", (reply: Reply) => {
    if ("news" in reply) onNews?.(reply.news as News);
    else settle?.(reply);
  });
  worker.on("error", (error) => stop(failure(stage, `a thread stopped: ${error.message}`, error)));
  worker.on("exit", (code) => stop(failure(stage, `a thread ended with code ${code}`)));
  return {
    call: (name, input, moved = []) =>
      new Promise((resolve, reject) => {
        if (ended !== undefined) {
          reject(ended);
          return;
        }
        settle = (answer) => {
          settle = undefined;
          if ("error" in answer) reject(new FusechatError(answer.error.code, answer.error.message));
          // The thread answers with what the function of this name returns.
          else resolve(answer.output as Parameters<typeof resolve>[0]);
        };
        worker.postMessage({ call: name, input } satisfies Request, moved);
      }),
    interrupt: () => stop(failure(stage, "interrupted")),
    get interrupted() {
      return ended !== undefined;
    },
    terminate: async () => {
      await worker.terminate();
    },
  };
}
