/**
 * The process that reads mutated inputs, one after the other. Before each it writes its number into a pipe, so that its
 * parent knows which one it died of or hangs in; after each what came of it.
 */
import { accessSync, constants, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { FusechatError } from "#src/errors.js";
import { INPUTS_PER_TARGET, megabyte } from "./megabytes.mjs";
import { generator, mutate } from "./mutate.mjs";
import { TARGETS } from "./targets.mjs";

const STATUS_FD = 3;

/** Processor time that a megabyte may take, and a part of one, seconds. */
const SECONDS = 2;
/** What an input of a megabyte may add to the memory of this process, bytes. */
const MEMORY_BYTES = 600e6;

/** What a message must not say: JavaScript's own words for what is missing, and values in its own form. */
const NONSENSE = /\bundefined\b|\[object |\bNaN\b|function |=>|is not iterable|Cannot read|Cannot destructure/;
const LONGEST_LINE = 1500;
const MOST_LINES = 22;

const [, , seedText, firstText, endText, only = ""] = process.argv;
const areMegabytes = seedText === "megabytes";
const tell = (message) => writeSync(STATUS_FD, `${JSON.stringify(message)}\n`);
const chosen = TARGETS.filter(({ name }) => only === "" || name === only);

process.on("unhandledRejection", (error) => {
  tell({ problem: `an unhandled rejection: ${error?.stack ?? error}` });
  process.exit(1);
});

const folder = mkdtempSync(join(memoryFolder(), "fusechat-mutated-"));
/** Where the files of a target lie. Each input takes the place of the one before: a folder of its own costs as much as reading it. */
const places = new Map();
let hasKept = false;
// Once a campaign, and where one target is looked at.
if (only !== "" || firstText === "0") await readSeeds();
for (let index = Number(firstText); index < Number(endText); index++) {
  const { target, bytes } = areMegabytes ? megabyteInput(index) : mutatedInput(index);
  const path = write(target, bytes);
  tell({ begins: index, target: target.name, path });
  const { outcome, memory, ...found } = await measured(target, path, bytes);
  let { problem, seconds } = found;
  // On a machine that others use at the same time processor time comes out up to three times as long; what is slow is slow again.
  if (seconds > SECONDS) seconds = Math.min(seconds, (await measured(target, path, bytes)).seconds);
  if (seconds > SECONDS) problem ??= `took ${seconds.toFixed(1)} s of processor time for ${bytes.length} bytes`;
  if (memory > MEMORY_BYTES) problem ??= `took ${Math.round(memory / 1e6)} MB for ${bytes.length} bytes`;
  tell({ ends: index, target: target.name, outcome, seconds, memory, ...(problem === undefined ? {} : { problem }) });
  if (problem !== undefined) keep(target, index);
}
if (!hasKept) rmSync(folder, { recursive: true, force: true });
process.exit(0);

/** In memory, where the system has such a folder: a journal on a disk takes processor time for each small file. */
function memoryFolder() {
  try {
    accessSync("/dev/shm", constants.W_OK);
    return "/dev/shm";
  } catch {
    return tmpdir();
  }
}

function write(target, bytes) {
  let place = places.get(target);
  if (place === undefined) {
    place = join(folder, String(places.size));
    mkdirSync(dirname(join(place, target.file)), { recursive: true });
    for (const [name, content] of Object.entries(target.beside ?? {})) writeFileSync(join(place, name), content);
    places.set(target, place);
  }
  const path = join(place, target.file);
  writeFileSync(path, bytes);
  return path;
}

function keep(target, index) {
  const kept = join(folder, `input-${index}`);
  renameSync(places.get(target), kept);
  places.delete(target);
  hasKept = true;
  tell({ kept: join(kept, target.file) });
}

/** What comes of an input, processor time in seconds, and the bytes by which the process has grown. */
async function measured(target, path, bytes) {
  const cpu = process.cpuUsage();
  const before = process.memoryUsage.rss();
  let outcome = "read";
  let problem;
  try {
    await target.read(path, places.get(target), bytes);
  } catch (error) {
    outcome = "refused";
    problem = problemOf(error, bytes);
  }
  const { user, system } = process.cpuUsage(cpu);
  return { outcome, problem, seconds: (user + system) / 1e6, memory: process.memoryUsage.rss() - before };
}

function mutatedInput(index) {
  const random = generator((Number(seedText) + Math.imul(index, 0x9e3779b1)) >>> 0);
  let target = random.pick(chosen);
  // Those that ask another process take a hundred times as long, and are drawn more rarely.
  while (only === "" && random.below(1000) >= 1000 * (target.share ?? 1)) target = random.pick(chosen);
  return { target, bytes: mutate(target.seeds, target.kind, random) };
}

function megabyteInput(index) {
  const target = chosen[Math.floor(index / INPUTS_PER_TARGET)];
  return { target, bytes: megabyte(target, index % INPUTS_PER_TARGET) };
}

/** What is not read well as it stands would be refused for the same reason whatever is done to it. */
async function readSeeds() {
  for (const target of chosen) {
    for (const [number, seed] of target.seeds.entries()) {
      const path = write(target, seed);
      try {
        await target.read(path, places.get(target), Buffer.from(seed));
      } catch (error) {
        tell({ problem: `the seed ${number} of ${target.name} is refused: ${error?.stack ?? error}` });
      }
    }
  }
}

function problemOf(error, bytes) {
  if (!(error instanceof FusechatError)) return `threw what is not meant for the user: ${error?.stack ?? typeof error}`;
  if (error.code !== "input")
    return `is a fault of the program or the machine: ${error.code}: ${error.message.slice(0, 500)}`;
  const lines = error.message.split("\n");
  if (lines.length > MOST_LINES) return `is told in ${lines.length} lines`;
  const long = lines.find((line) => line.length > LONGEST_LINE);
  if (long !== undefined) return `is told in a line of ${long.length} characters: ${long.slice(0, 200)}`;
  // What Python writes for a number that is none may be shown as it stands, and what a tensor has.
  const found = error.message.replaceAll(/ (?:has|found) -?(?:NaN|Infinity)\b/g, "");
  const said = bytes.includes("NaN") ? found.replaceAll("NaN", "") : found;
  if (NONSENSE.test(withoutQuotes(said))) return `is told in nonsense: ${error.message.slice(0, 500)}`;
  return undefined;
}

/** Foreign words stand between quotes. */
function withoutQuotes(message) {
  return message.replace(/"(?:[^"\\]|\\.)*"?/g, '""');
}
