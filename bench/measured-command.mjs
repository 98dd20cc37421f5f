/**
 * A command with all its processes: seconds from start to end, and its peak private memory, which is what it allocated
 * itself: pages of mapped files and of the file cache, which the system takes back at any time, do not count.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/** How often memory is looked at: what lives shorter is missed. */
const INTERVAL_MS = 5;

/**
 * @typedef {{ seconds: number, privateBytes: number }} Measured
 * @param {string} command
 * @param {readonly string[]} parameters
 * @param {{ cwd?: string }} [options]
 * @returns {Promise<Measured>}
 */
export async function measuredCommand(command, parameters, options = {}) {
  let output = "";
  let privateBytes = 0;
  const start = performance.now();
  const child = spawn(command, parameters, { stdio: ["ignore", "pipe", "pipe"], ...options });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  const timer = setInterval(() => {
    privateBytes = Math.max(privateBytes, privateMemory(child.pid));
  }, INTERVAL_MS);
  try {
    const code = await new Promise((done, fail) => child.on("error", fail).on("close", done));
    if (code !== 0) throw new Error(`${command} ended with ${code}: ${output.slice(-2000)}`);
  } finally {
    clearInterval(timer);
  }
  return { seconds: (performance.now() - start) / 1000, privateBytes };
}

/**
 * Bytes that a process and those it started hold for themselves alone, as Linux counts them; 0 elsewhere.
 * @param {number | undefined} pid
 * @returns {number}
 */
function privateMemory(pid) {
  try {
    const [, kilobytes = "0"] = /^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ").filter(Boolean);
    return 1024 * Number(kilobytes) + children.reduce((sum, child) => sum + privateMemory(Number(child)), 0);
  } catch {
    // It has ended.
    return 0;
  }
}
