/**
 * The peers' Python: one virtual environment at pinned versions below the user's cache folder, made once and made anew
 * when a pin changes. Folders beside its packages hold what cannot live among them: an older transformers, a converter
 * that carries other packages' modules, and clients of servers with what they need. Runs before all tests, which are skipped where there is no Python.
 */
import { execFile, spawn } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { exists } from "#src/formats/files.js";
import { lockFolderToCome } from "#src/formats/lock.js";

/** Which packages a script sees: those of the environment, or a folder's before them. */
export type Packages = "environment" | "transformers-4" | "converter" | "harness";

export interface Peers {
  /** The environment's interpreter. */
  readonly python: string;
  /** Where the folders beside its packages are. */
  readonly folder: string;
}

declare module "vitest" {
  interface ProvidedContext {
    /** null where there is no Python. */
    peers: Peers | null;
  }
}

/** By the pinned NumPy. */
const OLDEST_PYTHON = [3, 11] as const;
const ENVIRONMENT = "requirements.txt";
/** By their folders. */
const BESIDE: readonly Exclude<Packages, "environment">[] = ["transformers-4", "converter", "harness"];
const REQUIREMENTS = [ENVIRONMENT, ...BESIDE.map((name) => `requirements-${name}.txt`)];
/** What a finished environment was made of; written last. */
const RECORD = "made-of.txt";

export default async function setup(project: TestProject): Promise<void> {
  const python = process.env.PYTHON ?? "python3";
  const version = await pythonVersion(python);
  const missing = reasonAgainst(version);
  if (missing !== null) {
    if (process.env.CI === "true") throw new Error(`${python}: ${missing}, and CI compares with the peers`);
    console.warn(`\nSKIPPED: ${python}: ${missing}. Nothing was compared with transformers, mergekit or GGUF.\n`);
    project.provide("peers", null);
    return;
  }
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "fusechat", "peers");
  const lock = await lockFolderToCome(folder);
  try {
    const wanted = `Python ${version}\n${(await Promise.all(REQUIREMENTS.map(requirements))).join("")}`;
    const record = join(folder, RECORD);
    if (!(await exists(record)) || (await readFile(record, "utf8")) !== wanted) {
      console.log(`Installing the peers in ${folder}: about 6 GB, minutes.`);
      await make(python, folder);
      await writeFile(record, wanted);
    }
  } finally {
    await lock.release();
  }
  project.provide("peers", { python: interpreterOf(folder), folder });
}

/** `3.11`; null where there is no such program, or it cannot make virtual environments. */
async function pythonVersion(python: string): Promise<string | null> {
  try {
    const code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])";
    return (await promisify(execFile)(python, ["-c", code])).stdout.trim();
  } catch {
    return null;
  }
}

function reasonAgainst(version: string | null): string | null {
  if (version === null) return "no Python that makes virtual environments";
  const [major, minor] = version.split(".").map(Number) as [number, number];
  const [oldestMajor, oldestMinor] = OLDEST_PYTHON;
  if (major === oldestMajor && minor >= oldestMinor) return null;
  return `Python ${OLDEST_PYTHON.join(".")} or later is needed, found ${version}`;
}

function requirements(file: string): Promise<string> {
  return readFile(resolve(import.meta.dirname, file), "utf8");
}

function interpreterOf(folder: string): string {
  return join(folder, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
}

async function make(python: string, folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await command(python, ["-m", "venv", folder]);
  // Of 30,000 modules few are ever imported; those are compiled then. No package may run code to install itself.
  const pip = ["-m", "pip", "install", "--quiet", "--no-compile", "--only-binary", ":all:"];
  const wanted = (file: string): string[] => ["--requirement", resolve(import.meta.dirname, file)];
  await command(interpreterOf(folder), [...pip, ...wanted(ENVIRONMENT)]);
  for (const name of BESIDE) {
    const target = ["--no-deps", "--target", join(folder, name)];
    await command(interpreterOf(folder), [...pip, ...target, ...wanted(`requirements-${name}.txt`)]);
  }
}

/** Runs a program whose output goes where ours goes. */
function command(program: string, arguments_: readonly string[]): Promise<void> {
  return new Promise((done, fail) => {
    const child = spawn(program, arguments_, { stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", fail);
    child.on("close", (code) => {
      if (code === 0) done();
      else fail(new Error(`${program} ${arguments_.join(" ")} ended with ${code}`));
    });
  });
}
