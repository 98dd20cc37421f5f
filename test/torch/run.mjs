/**
 * `npm run test:torch`: makes the torch engine's Python once, below the user's cache folder, and anew when a pin changes;
 * then checks and tests the package in `python/`, and the engine that starts it.
 *
 * On Linux the package index has PyTorch for CUDA alone, 5.4 GB installed. Here it gets none of the packages it names for
 * that but stand-ins (`python/tests/stand_ins.py`), which makes 1.6 GB, and half the memory a process.
 */
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { lockFolderToCome } from "#src/formats/lock.js";

/** By the pinned NumPy. */
const OLDEST_PYTHON = [3, 11];
const root = resolve(import.meta.dirname, "../..");
const sources = join(root, "python");
const REQUIREMENTS = [join(sources, "requirements.txt"), join(sources, "tests", "requirements.txt")];
const STAND_INS = join(sources, "tests", "stand_ins.py");

const system = process.env.PYTHON ?? "python3";
const version = await pythonVersion(system);
if (version === null) {
  const missing = `${system}: no Python ${OLDEST_PYTHON.join(".")} or later that makes virtual environments`;
  console.error(`SKIPPED: ${missing}. Nothing of the torch engine was tested.`);
  process.exit(process.env.CI === "true" ? 1 : 0);
}
const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "fusechat", "torch");
const bin = join(folder, process.platform === "win32" ? "Scripts" : "bin");
const python = join(bin, "python");
await makeEnvironment();

const options = { cwd: sources, env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" } };
await run(join(bin, "ruff"), ["format", "--no-cache", "--check", "."], options);
await run(join(bin, "ruff"), ["check", "--no-cache", "."], options);
await run(python, ["-m", "mypy", "--cache-dir", join(folder, "mypy")], options);
// Side by side: either alone keeps one core busy at most times. The engine's output waits for the end of the package's.
const config = join(import.meta.dirname, "vitest.config.ts");
const vitest = [join(root, "node_modules/vitest/vitest.mjs"), "run", "--config", config];
const engine = { cwd: root, env: { ...process.env, FUSECHAT_TORCH_PYTHON: python } };
const own = process.argv.slice(2);
const codes = await Promise.all([
  ended(python, ["-m", "pytest", ...own], options),
  own.length === 0 ? ended(process.execPath, vitest, { ...engine, stdio: ["ignore", "pipe", "pipe"] }) : 0,
]);
if (codes.some((code) => code !== 0)) process.exit(1);

async function makeEnvironment() {
  const lock = await lockFolderToCome(folder);
  try {
    const pins = await Promise.all([...REQUIREMENTS, STAND_INS].map((file) => readFile(file, "utf8")));
    const wanted = `Python ${version}\n${pins.join("")}`;
    const record = join(folder, "made-of.txt");
    if (existsSync(record) && (await readFile(record, "utf8")) === wanted) return;
    const alone = await canStandIn();
    console.log(
      `Installing the torch engine's Python in ${folder}: ${process.platform === "linux" && !alone ? "5.7" : "1.6"} GB, minutes.`,
    );
    await rm(folder, { recursive: true, force: true });
    await run(system, ["-m", "venv", folder]);
    // No package may run code to install itself.
    const install = ["-m", "pip", "install", "--quiet", "--no-compile", "--only-binary", ":all:"];
    const files = REQUIREMENTS.flatMap((file) => ["--requirement", file]);
    await run(python, [...install, ...(alone ? ["--no-deps"] : []), ...files]);
    if (alone) {
      const sitePackages = "import sysconfig; print(sysconfig.get_path('purelib'))";
      await run(python, [STAND_INS, (await promisify(execFile)(python, ["-c", sitePackages])).stdout.trim()]);
    }
    await writeFile(record, wanted);
  } finally {
    await lock.release();
  }
}

/** Whether stand-ins can be compiled, and are needed: elsewhere the package index has PyTorch for processors. */
async function canStandIn() {
  if (process.platform !== "linux") return false;
  try {
    await Promise.all(["gcc", "readelf"].map((program) => promisify(execFile)(program, ["--version"])));
    return true;
  } catch {
    return false;
  }
}

/** `3.11`; null where there is none, or one too old. */
async function pythonVersion(program) {
  try {
    const code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])";
    const found = (await promisify(execFile)(program, ["-c", code])).stdout.trim();
    const [major, minor] = found.split(".").map(Number);
    return major === OLDEST_PYTHON[0] && minor >= OLDEST_PYTHON[1] ? found : null;
  } catch {
    return null;
  }
}

/** Runs a program whose output goes where ours goes, and ends with its code where that is not 0. */
async function run(program, arguments_, options = {}) {
  if ((await ended(program, arguments_, options)) !== 0) process.exit(1);
}

/** The code that a program ends with. What it says goes where ours goes; where it is piped, once it has ended. */
function ended(program, arguments_, options = {}) {
  return new Promise((done, fail) => {
    const child = spawn(program, arguments_, { stdio: ["ignore", "inherit", "inherit"], ...options });
    const said = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => said.push(chunk));
    child.on("error", fail);
    child.on("close", (code) => {
      process.stdout.write(Buffer.concat(said));
      if (code !== 0) console.error(`${program} ${arguments_.join(" ")} ended with ${code}`);
      done(code ?? 1);
    });
  });
}
