/** The golden pico models as a recipe, and a run directory's files by their hashes. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";

export const GOLDEN: string = resolve(import.meta.dirname, "../golden");
export const MISTRAL: string = join(GOLDEN, "models/mistral");
export const QWEN2: string = join(GOLDEN, "models/qwen2");
export const CONVERSATIONS: string = join(GOLDEN, "pipeline/conversations.jsonl");
export const HELD_OUT: string = join(GOLDEN, "pipeline/held_out.jsonl");

/** A run of all kinds of units in a few seconds. */
export const PICO_RECIPE: string = `pivot: ${MISTRAL}
sources: [${QWEN2}]
data: { path: ${CONVERSATIONS}, held_out_path: ${HELD_OUT}, max_length: 512 }
fuse: { lr: 1.0e-3, epochs: 3, batch: 2 }
merge: [{ method: sce, select_topk: 0.5 }, { method: linear }]
baselines: [sft]
`;

export async function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "fusechat-run-"));
}

export async function writeRecipe(folder: string, text: string = PICO_RECIPE): Promise<string> {
  const path = join(folder, "recipe.yaml");
  await writeFile(path, text);
  return path;
}

export interface Finished {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Command {
  readonly finished: Promise<Finished>;
  /** What it has printed so far. */
  printed(): { readonly stdout: string; readonly stderr: string };
  kill(signal: NodeJS.Signals): void;
  readonly pid: number;
}

/** Starts the command as its own process. */
export function fusechat(
  arguments_: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Command {
  const main = resolve(import.meta.dirname, "../../dist/cli/main.js");
  const child = spawn(process.execPath, [main, ...arguments_], { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const finished = new Promise<Finished>((done) => {
    child.on("close", (exitCode) => done({ exitCode, stdout, stderr }));
  });
  return { finished, printed: () => ({ stdout, stderr }), kill: (signal) => child.kill(signal), pid: child.pid! };
}

/** SHA-256 of every file of a run that must not differ between runs, by its path. */
export async function hashesOf(run: string): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  const entries = await readdir(run, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.sort()) {
    const name = relative(run, file);
    if (/(^|\/)timing\.jsonl$/.test(name) || name === "plan.json" || name === "report.html") continue;
    hashes[name] = createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
  }
  return hashes;
}
