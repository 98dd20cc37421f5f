/** Runs the peers: one of this folder's scripts, or a module of theirs. */
import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { describe, inject, test } from "vitest";
import type { Packages, Peers } from "./environment.ts";

/** null where there is no Python. */
const peers: Peers | null = inject("peers");

/** Tests that need Python; where there is none, one test says that they were skipped. `notDone` goes on with "so …". */
export function describeWithPeers(name: string, notDone: string, tests: () => void): void {
  if (peers === null) test(`skipped: there is no Python, so ${notDone}`, () => {});
  describe.runIf(peers !== null)(name, tests);
}

export interface Place {
  /** Packages of the environment, or a folder's before them. */
  readonly packages: Packages;
  readonly cwd?: string;
}

/** A script takes its job as JSON; its answer is the last line that it prints. */
export async function runScript<Answer>(script: string, job: unknown, place: Place): Promise<Answer> {
  const output = await run([resolve(import.meta.dirname, script)], JSON.stringify(job), place);
  return JSON.parse(output.trimEnd().split("\n").at(-1)!) as Answer;
}

export async function runModule(module: string, arguments_: readonly string[], place: Place): Promise<void> {
  await run(["-m", module, ...arguments_], "", place);
}

/** What the interpreter prints. */
function run(arguments_: readonly string[], input: string, { packages, cwd }: Place): Promise<string> {
  const { python, folder } = peers!;
  return new Promise((done, fail) => {
    const child = spawn(python, arguments_, {
      cwd,
      env: {
        ...process.env,
        ...(packages === "environment" ? {} : { PYTHONPATH: join(folder, packages) }),
        // Whatever is missing is an error here, not a reason to look on a network.
        HF_HUB_OFFLINE: "1",
        CUDA_VISIBLE_DEVICES: "",
      },
    });
    const output = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].setEncoding("utf8").on("data", (text: string) => {
        output[stream] += text;
      });
    }
    child.on("error", fail);
    child.on("close", (code) => {
      if (code === 0) done(output.stdout);
      else fail(new Error(`python ${arguments_.join(" ")} ended with ${code}:\n${output.stdout}${output.stderr}`));
    });
    child.stdin.end(input);
  });
}
