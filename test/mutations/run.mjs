/**
 * The campaign of mutated inputs: `npm run test:mutations -- --seed S --count N [--target NAME] [--from INDEX]`. Without a
 * seed it draws one and prints it; a seed and a number give an input again (`--seed S --from I --count 1`). With
 * `--jobs` lets several processes read, each waits two thirds of its time for the processes of foreign files. With
 * `--megabytes` it reads a megabyte of each of many repeated texts in every target instead. Every input is
 * watched: what dies, hangs, takes seconds or hundreds of megabytes, or throws what is not meant for the user is kept and
 * told, and the campaign goes on.
 */
import { fork } from "node:child_process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { INPUTS_PER_TARGET } from "./megabytes.mjs";
import { TARGETS } from "./targets.mjs";

/** An input that takes so long without a word hangs; processes of foreign files end by themselves long before. */
const HANGS_MILLISECONDS = 120_000;
/** Inputs that one process reads: what leaks shows, and does not pile up for ever; its start, a second and a half, does not count. */
const INPUTS_PER_PROCESS = 20_000;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    count: { type: "string" },
    from: { type: "string", default: "0" },
    target: { type: "string", default: "" },
    jobs: { type: "string", default: "1" },
    megabytes: { type: "boolean", default: false },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const first = Number(values.from);
const every = INPUTS_PER_TARGET * TARGETS.filter(({ name }) => values.target === "" || name === values.target).length;
const end = first + Number(values.count ?? (values.megabytes ? every - first : 1000));
if (![seed, first, end].every(Number.isSafeInteger))
  throw new Error("expected whole numbers for --seed, --count, --from");
console.log(`${values.megabytes ? "megabytes" : `seed ${seed}`}, inputs ${first} to ${end - 1}`);

const tallies = new Map();
const problems = [];
const begun = performance.now();

const jobs = Math.max(1, Number(values.jobs));
const share = Math.min(INPUTS_PER_PROCESS, Math.ceil((end - first) / jobs));
let next = first;
await Promise.all(
  Array.from({ length: jobs }, async () => {
    while (next < end) {
      let index = next;
      const to = Math.min(end, index + share);
      next = to;
      while (index < to) index = await readInputs(index, to);
    }
  }),
);

const seconds = (performance.now() - begun) / 1000;
const rows = [...tallies].sort(([a], [b]) => (a < b ? -1 : 1));
const width = Math.max(...rows.map(([name]) => name.length));
console.log(`${"target".padEnd(width)}  inputs    read  refused  worst ms  worst MB`);
for (const [name, { inputs, read, refused, slowest, largest }] of rows) {
  const figures = [inputs, read, refused, Math.round(slowest * 1000), Math.round(largest / 1e6)];
  const widths = [6, 6, 7, 8, 8];
  console.log(
    `${name.padEnd(width)}  ${figures.map((figure, place) => String(figure).padStart(widths[place])).join("  ")}`,
  );
}
console.log(`${end - first} inputs in ${Math.round(seconds)} s, ${problems.length} with problems`);
process.exit(problems.length === 0 ? 0 : 1);

/** Lets a process read inputs; returns the number that comes next, behind the one that it died of. */
async function readInputs(from, to) {
  const child = fork(
    new URL("./inputs.mjs", import.meta.url),
    [values.megabytes ? "megabytes" : String(seed), String(from), String(to), values.target],
    {
      execArgv: ["--max-old-space-size=2000"],
      stdio: ["ignore", "inherit", "pipe", "pipe", "ipc"],
    },
  );
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr = (stderr + text).slice(-2000);
  });
  let current = { index: from, target: "none", path: "" };
  let timer;
  let isHanging = false;
  const watch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      isHanging = true;
      child.kill("SIGKILL");
    }, HANGS_MILLISECONDS);
  };
  watch();
  createInterface({ input: child.stdio[3] }).on("line", (line) => {
    const message = JSON.parse(line);
    watch();
    if (message.begins !== undefined) current = { index: message.begins, target: message.target, path: message.path };
    if (message.ends !== undefined) count(message);
    if (message.problem !== undefined) problem(current, message.problem);
    if (message.kept !== undefined) console.log(`  kept at ${message.kept}`);
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  clearTimeout(timer);
  if (code === 0) return to;
  if (current.target === "none") throw new Error(`no input was read: ${stderr}`);
  console.log(`  kept at ${current.path}`);
  problem(current, isHanging ? "hangs" : `ends the process: ${stderr.split("\n").slice(0, 6).join(" | ")}`);
  return current.index + 1;
}

function count({ target, outcome, seconds: took, memory }) {
  const tally = tallies.get(target) ?? { inputs: 0, read: 0, refused: 0, slowest: 0, largest: 0 };
  tally.inputs += 1;
  tally[outcome] += 1;
  tally.slowest = Math.max(tally.slowest, took);
  tally.largest = Math.max(tally.largest, memory);
  tallies.set(target, tally);
}

function problem({ index, target }, what) {
  problems.push({ index, target, what });
  console.log(`input ${index} (${target}) ${what}`);
}
