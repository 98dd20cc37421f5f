/**
 * The thread that kills its process where a call exceeds a limit: whatever the other thread does, collecting garbage or
 * inside native code, this one goes on. Memory grows by some gigabytes a second at most, so a look every
 * 20 ms bounds what may be taken beyond the limit.
 */
import { writeSync } from "node:fs";
import { workerData } from "node:worker_threads";
import { OVER_LIMIT, processorMicroseconds, watchedCall } from "./limits.ts";

const LOOK_MILLISECONDS = 20;
/** A thread has a stream of this name and no descriptor. */
const STANDARD_ERROR = 2;

const { call, limits } = watchedCall(workerData as SharedArrayBuffer);
for (;;) {
  // Returns at once while a call is under way.
  Atomics.wait(call, 0, 0);
  const number = Atomics.load(call, 0);
  if (number === 0) continue;
  if (process.memoryUsage.rss() > limits[0]!) kill("memory");
  if (processorMicroseconds() - limits[1]! > limits[2]!) kill("time");
  Atomics.wait(call, 0, number, LOOK_MILLISECONDS);
}

function kill(what: keyof typeof OVER_LIMIT): void {
  writeSync(STANDARD_ERROR, `\n${OVER_LIMIT[what]}\n`);
  process.kill(process.pid, "SIGKILL");
}
