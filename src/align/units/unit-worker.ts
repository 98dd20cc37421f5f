/** A thread that works on units; calls are answered one at a time. */
import { parentPort, workerData } from "node:worker_threads";
import { FusechatError, internalError } from "../../errors.ts";
import { createUnitWork, type UnitSetup, type UnitWork } from "./unit-work.ts";

export interface WorkRequest {
  readonly call: keyof UnitWork;
  readonly input: unknown;
}

export type WorkReply = { readonly output: unknown } | { readonly error: Pick<FusechatError, "code" | "message"> };

function serve(port: NonNullable<typeof parentPort>, work: UnitWork): void {
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

if (parentPort !== null) serve(parentPort, createUnitWork(workerData as UnitSetup));
