/** Runs the built command as a user would: a process of its own. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const main = resolve(import.meta.dirname, "../../dist/cli/main.js");

export function fusechat(...arguments_: readonly string[]): Promise<CommandResult> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [main, ...arguments_], { stdio: ["ignore", "pipe", "pipe"] });
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text;
    });
    child.on("error", fail);
    child.on("close", (code) => done({ code, ...output }));
  });
}

/** The events and the result of a `--json` run. */
export function jsonLines({ stdout }: CommandResult): Record<string, unknown>[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}
