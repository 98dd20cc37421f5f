/**
 * A gate before every native call of the worker thread. Ending a thread inside a native call aborts the whole process
 * (std::terminate, exit code 134), be it by `dispose` or by `process.exit` after a second Ctrl-C. So whoever wants to
 * end the thread closes the gate first: no call begins any more, and the one under way, a micro-batch at most, ends.
 */
import { failure } from "../../errors.ts";

/** Two shared words: whether a native call is under way, and whether the gate is closed. */
export type NativeGate = Int32Array<SharedArrayBuffer>;

const UNDER_WAY = 0;
const CLOSED = 1;

/** Longer than any micro-batch; a call that hangs does not keep the process from ending. */
const LONGEST_WAIT_MS = 60_000;

export function createNativeGate(): NativeGate {
  return new Int32Array(new SharedArrayBuffer(8));
}

/** In the worker: runs one native call, or throws where the gate is closed. */
export async function throughGate<T>(gate: NativeGate, call: () => Promise<T>): Promise<T> {
  Atomics.store(gate, UNDER_WAY, 1);
  try {
    // The order matters: whoever closes the gate after this look sees that a call is under way.
    if (Atomics.load(gate, CLOSED) === 1) throw failure("engine", "it was stopped");
    return await call();
  } finally {
    Atomics.store(gate, UNDER_WAY, 0);
    Atomics.notify(gate, UNDER_WAY);
  }
}

/** In the main thread: lets no further call through. */
export function closeGate(gate: NativeGate): void {
  Atomics.store(gate, CLOSED, 1);
}

/** In the main thread, after `closeGate`: blocks until the call under way has ended. */
export function waitAtGate(gate: NativeGate): void {
  Atomics.wait(gate, UNDER_WAY, 1, LONGEST_WAIT_MS);
}
