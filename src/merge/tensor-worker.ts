/** A thread that merges tensors; calls are answered one at a time, and progress is told in between. */
import { parentPort, workerData } from "node:worker_threads";
import { FusechatError, internalError } from "../errors.ts";
import { createTensorWork, type TensorSetup, type TensorWork } from "./tensor-work.ts";

export interface WorkRequest {
  readonly call: keyof TensorWork;
  readonly input: unknown;
}

export type WorkReply =
  /** Bytes of the inputs that went into the output since the last one. */
  | { readonly advanced: number }
  | { readonly output: unknown }
  | { readonly error: Pick<FusechatError, "code" | "message"> };

function serve(port: NonNullable<typeof parentPort>, setup: TensorSetup): void {
  const work = createTensorWork(setup, (bytes) => {
    if (bytes > 0) port.postMessage({ advanced: bytes } satisfies WorkReply);
  });
  port.on("message", async ({ call, input }: WorkRequest) => {
    try {
      const answer = work[call] as (input: unknown) => Promise<unknown>;
      port.postMessage({ output: await answer(input) } satisfies WorkReply);
    } catch (error) {
      const known = error instanceof FusechatError ? error : internalError(`${call}: ${(error as Error).stack}`);
      port.postMessage({ error: { code: known.code, message: known.message } } satisfies WorkReply);
    }
  });
}

if (parentPort !== null) serve(parentPort, workerData as TensorSetup);
