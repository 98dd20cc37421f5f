/**
 * The limits of a call in a sandbox, and the memory that two threads of its process share: the one that works says when
 * a call begins and ends, the one that watches knows by it what to measure. `Atomics.wait` lets the watch sleep
 * without any cost while nothing is under way.
 */
export interface CallLimits {
  /** Memory of the whole process (resident set), megabytes of 10^6 bytes; some 60 of them are the runtime's. */
  readonly memoryMb: number;
  /** Time of all its threads on processors, which other programs on the machine do not lengthen, seconds. */
  readonly seconds: number;
}

export interface WatchedCall {
  /** [1] 0 while nothing is under way, else the number of the call. */
  readonly call: Int32Array;
  /** [3] memory, bytes; processor time so far and at most, microseconds. */
  readonly limits: Float64Array;
}

const LIMITS_OFFSET_BYTES = 8;

export function watchedCall(shared: SharedArrayBuffer): WatchedCall {
  return { call: new Int32Array(shared, 0, 1), limits: new Float64Array(shared, LIMITS_OFFSET_BYTES, 3) };
}

export function sharedMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(LIMITS_OFFSET_BYTES + 3 * Float64Array.BYTES_PER_ELEMENT);
}

export function processorMicroseconds(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** What the watch writes on the standard error of its process before it kills it. */
export const OVER_LIMIT = { memory: "over its limit: memory", time: "over its limit: time" } as const;
