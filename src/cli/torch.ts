/**
 * `fusechat torch doctor` says what the torch engine finds; `fusechat torch install` makes it a virtual environment of
 * its own with the versions that are tested.
 */
import { spawn } from "node:child_process";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { PACKAGE_FOLDER, type PythonFacts, probePython } from "../engine/torch/python.ts";
import { TORCH_DEFAULTS } from "../engine/torch/settings.ts";
import { failure, inputError } from "../errors.ts";
import { exists } from "../formats/files.ts";
import { formatBytes } from "./figures.ts";
import type { Invocation, Verb } from "./verb.ts";

const REQUIREMENTS = join(PACKAGE_FOLDER, "requirements.txt");

interface Options {
  readonly python?: string;
  readonly dir?: string;
}

export const torchVerb: Verb = {
  name: "torch",
  summary: "the torch engine: doctor says what is installed, install makes an environment for it",
  declare: (command: Command) => {
    command
      .argument("<action>", "doctor or install")
      .option(
        "--python <command>",
        `doctor: the Python to look at; install: the one to begin with (default: ${TORCH_DEFAULTS.python})`,
      )
      .option("--dir <folder>", "install: where the environment goes (default: fusechat/torch in the user's cache)");
  },
  run: async (invocation, [action], given) => {
    const { python = TORCH_DEFAULTS.python, dir } = given as Options;
    if (action === "doctor") await doctor(invocation, python);
    else if (action === "install")
      await install(invocation, python, resolve(dir ?? defaultFolder(invocation.environment)));
    else throw inputError("fusechat torch", `expected doctor or install, found ${JSON.stringify(action)}`);
    return undefined;
  },
};

async function doctor({ print, document }: Invocation, python: string): Promise<void> {
  const facts = await probePython(python, "auto");
  print(
    `${python}: Python ${facts.python}, torch ${facts.torch}, transformers ${facts.transformers}, safetensors ${facts.safetensors}`,
  );
  for (const { name, bytes } of facts.gpus) print(`  ${name}, ${formatBytes(bytes)}`);
  if (facts.gpus.length === 0) print(facts.mps ? "  one Apple GPU" : "  no GPU: it will compute on the processor");
  print(`in a recipe: ${recipeLine(python, facts)}`);
  document({ command: python, ...facts });
}

/** Makes the environment, or completes one that an interruption has left. */
async function install(invocation: Invocation, python: string, folder: string): Promise<void> {
  const own = join(folder, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  if (!(await exists(own))) await runQuietly(python, ["-m", "venv", folder], invocation);
  invocation.reporter.report({ type: "start", stage: `installing into ${folder}: minutes, and up to 6 GB with CUDA` });
  await runQuietly(own, ["-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS], invocation);
  const facts = await probePython(own, "auto");
  invocation.print(`${own}: torch ${facts.torch}, transformers ${facts.transformers}`);
  invocation.print(`in a recipe: ${recipeLine(own, facts)}`);
  invocation.document({ command: own, ...facts });
}

function recipeLine(python: string, { cuda, mps }: PythonFacts): string {
  const settings = [`kind: torch`, ...(python === TORCH_DEFAULTS.python ? [] : [`python: ${python}`])];
  if (cuda === 0 && !mps) settings.push("compute: float32");
  return `engine: { ${settings.join(", ")} }`;
}

function defaultFolder(environment: Invocation["environment"]): string {
  return join(environment.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "fusechat", "torch");
}

/** What it prints is told where it fails: its last line. */
function runQuietly(program: string, arguments_: readonly string[], { signal }: Invocation): Promise<void> {
  return new Promise((resolvePromise, reject) => {
    const child = spawn(program, arguments_, { stdio: ["ignore", "ignore", "pipe"], signal });
    let told = "";
    child.stderr.on("data", (chunk: Buffer) => {
      told = `${told}${chunk.toString("utf8")}`.slice(-2000);
    });
    child.once("error", (error) => reject(failure(program, `could not be started (${error.message})`, error)));
    child.once("exit", (code) => {
      if (code === 0) return resolvePromise();
      const last = told.trim().split("\n").at(-1) ?? "";
      return reject(failure(`${program} ${arguments_.slice(0, 3).join(" ")}`, `ended with ${code}: ${last}`));
    });
  });
}
