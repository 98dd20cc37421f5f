/** The main thread's end of the engine's worker: calls out, answers back, and every error as the one it was. */
import { Worker } from "node:worker_threads";
import { FusechatError, failure, internalError } from "../../errors.ts";
import type { TokenLogprobs } from "../engine.ts";
import type { CallName, Calls, Reply } from "./messages.ts";
import { closeGate, createNativeGate, type NativeGate, waitAtGate } from "./native-gate.ts";

type TokenListener = (prompt: number, id: number, logprobs: TokenLogprobs | null) => void;

export interface Connection {
  /** `transfer` lists buffers that move to the worker; they are empty here afterwards. */
  call<Name extends CallName>(
    name: Name,
    input: Calls[Name]["input"],
    transfer?: readonly ArrayBuffer[],
    onToken?: TokenListener,
  ): Promise<Calls[Name]["output"]>;
  /** Refuses the calls under way and ends the thread, after the micro-batch in hand. */
  dispose(): Promise<void>;
}

interface Pending {
  readonly resolve: (output: Calls[CallName]["output"]) => void;
  readonly reject: (error: Error) => void;
  readonly onToken: TokenListener | undefined;
}

/** Gates of the threads that run: `process.exit` must not end a thread inside a native call either. */
const openGates = new Set<NativeGate>();

function closeAllGates(): void {
  for (const gate of openGates) closeGate(gate);
  for (const gate of openGates) waitAtGate(gate);
}

/**
 * Starts the thread. It keeps the process alive only while it has something to do.
 *
 * ONNX Runtime 1.30 reports its use to its maker (an event a process, a device id on disk, a file in the temporary
 * folder) unless this variable is set before it is loaded; a thread's own environment would come too late for it.
 */
export function connect(): Connection {
  process.env.ORT_DISABLE_TELEMETRY = "1";
  const gate = createNativeGate();
  const worker = new Worker(new URL("./worker.js", import.meta.url), { execArgv: [], workerData: gate });
  worker.unref();
  if (openGates.size === 0) process.on("exit", closeAllGates);
  openGates.add(gate);
  const pending = new Map<number, Pending>();
  let lastId = 0;
  let ended: Error | undefined;

  const settle = (id: number): Pending | undefined => {
    const call = pending.get(id);
    pending.delete(id);
    if (pending.size === 0) worker.unref();
    return call;
  };
  const end = (error: Error): void => {
    ended ??= error;
    openGates.delete(gate);
    if (openGates.size === 0) process.off("exit", closeAllGates);
    for (const id of [...pending.keys()]) settle(id)?.reject(ended);
  };
  worker.on("message", (reply: Reply) => {
    if (reply.type === "token") pending.get(reply.id)?.onToken?.(reply.prompt, reply.token, reply.logprobs);
    else if (reply.type === "done") settle(reply.id)?.resolve(reply.output);
    else settle(reply.id)?.reject(new FusechatError(reply.code, reply.message));
  });
  worker.on("error", (error) => end(failure("engine", `its thread stopped: ${error.message}`, error)));
  worker.on("exit", (code) => end(failure("engine", `its thread ended with code ${code}`)));

  const call: Connection["call"] = (name, input, transfer = [], onToken = undefined) =>
    new Promise((resolve, reject) => {
      if (ended !== undefined) {
        reject(ended);
        return;
      }
      const id = ++lastId;
      if (pending.size === 0) worker.ref();
      // The worker answers a call with the output of that call, which the types of `messages.ts` fix.
      pending.set(id, { resolve: resolve as Pending["resolve"], reject, onToken });
      worker.postMessage({ call: name, id, input }, transfer);
    });

  return {
    call,
    dispose: async () => {
      if (ended === undefined) {
        closeGate(gate);
        const refused = internalError("the engine was used after it was disposed of");
        for (const [id, { reject }] of pending) {
          pending.delete(id);
          reject(refused);
        }
        // Calls are answered in order: once this one is, none is left inside.
        await call("idle", null).catch(() => {});
        end(refused);
      }
      await worker.terminate();
    },
  };
}
