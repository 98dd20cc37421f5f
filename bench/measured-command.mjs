/**
 * A command with all its processes: seconds from start to end and of the processor, and its peak private memory, which
 * is what it allocated itself: pages of mapped files and of the file cache, which the system takes back at any time, do
 * not count. On a busy machine only the processor's seconds say what the work costs.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/** How often the processes are looked at: what lives shorter is missed, and 5 ms took 4 % of two processors. */
const INTERVAL_MS = 20;
/** The unit of the processor's time in Linux's files. */
const TICKS_A_SECOND = 100;

/**
 * @typedef {{ seconds: number, processorSeconds: number, privateBytes: number }} Measured
 * @param {string} command
 * @param {readonly string[]} parameters
 * @param {{ cwd?: string }} [options]
 * @returns {Promise<Measured>}
 */
export async function measuredCommand(command, parameters, options = {}) {
  let output = "";
  let privateBytes = 0;
  let ticks = 0;
  const start = performance.now();
  const child = spawn(command, parameters, { stdio: ["ignore", "pipe", "pipe"], ...options });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  const timer = setInterval(() => {
    const now = usage(child.pid);
    privateBytes = Math.max(privateBytes, now.privateBytes);
    ticks = Math.max(ticks, now.ticks);
  }, INTERVAL_MS);
  try {
    const code = await new Promise((done, fail) => child.on("error", fail).on("close", done));
    if (code !== 0) throw new Error(`${command} ended with ${code}: ${output.slice(-2000)}`);
  } finally {
    clearInterval(timer);
  }
  return { seconds: (performance.now() - start) / 1000, processorSeconds: ticks / TICKS_A_SECOND, privateBytes };
}

/**
 * What a process and those it started hold for themselves alone, and have taken of the processor, as Linux counts it;
 * 0 elsewhere.
 * @param {number | undefined} pid
 * @returns {{ privateBytes: number, ticks: number }}
 */
function usage(pid) {
  const read = (/** @type {string} */ file) => readFileSync(`/proc/${pid}/${file}`, "latin1");
  try {
    const [, kilobytes = "0"] = /^RssAnon:\s+(\d+)/m.exec(read("status")) ?? [];
    // Behind the name in brackets come the state and ten figures before the ticks of user and system.
    const [user = 0, system = 0] = read("stat").split(") ").at(-1)?.split(" ").slice(11, 13).map(Number) ?? [];
    const children = read(`task/${pid}/children`).split(" ").filter(Boolean);
    const parts = children.map((child) => usage(Number(child)));
    return {
      privateBytes: parts.reduce((sum, part) => sum + part.privateBytes, 1024 * Number(kilobytes)),
      ticks: parts.reduce((sum, part) => sum + part.ticks, user + system),
    };
  } catch {
    // It has ended.
    return { privateBytes: 0, ticks: 0 };
  }
}
