/** What asking a server takes here: a process that waits for replies. How fast the server is, only the server knows. */
import { internalError } from "../../errors.ts";
import type { Estimate } from "../estimate.ts";
import { PROCESS_BYTES } from "../onnx/memory.ts";

export function estimateServer(kind: string, availableBytes: number): Estimate {
  return {
    processes: 1,
    availableBytes,
    memory: "memory",
    basis: `the speed of a ${kind} server is not known`,
    passes: () => ({ memoryBytes: PROCESS_BYTES, seconds: null, workBytes: 0, advice: null }),
    training: () => {
      throw internalError("a server is asked to train");
    },
  };
}
