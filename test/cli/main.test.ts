/** The command as a process: what only a real process shows. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { oldNodeMessage } from "#src/cli/node-version.js";

const main = resolve(import.meta.dirname, "../../dist/cli/main.js");

function fusechat(...arguments_: string[]): Promise<{ exitCode: number | null; stdout: string; stderr: string }> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [main, ...arguments_]);
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.on("close", (exitCode) => done({ exitCode, stdout, stderr }));
  });
}

test("--help lists the verbs and ends with 0", async () => {
  const { exitCode, stdout, stderr } = await fusechat("--help");
  expect(stdout).toContain("Usage: fusechat");
  expect(stderr).toBe("");
  expect(exitCode).toBe(0);
});

test("a wrong command line ends with 2 and prints no stack", async () => {
  const { exitCode, stdout, stderr } = await fusechat("--unknown-flag");
  expect(stderr).toBe("fusechat: unknown option '--unknown-flag'\n");
  expect(stdout).toBe("");
  expect(exitCode).toBe(2);
});

test("a reader that goes away is no crash", async () => {
  const child = spawn(process.execPath, [main, "--help"]);
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  child.stdout.destroy();
  const exitCode = await new Promise((done) => child.on("close", done));
  expect(stderr).toBe("");
  expect(exitCode).toBe(0);
});

test("a Node that is too old is told so", () => {
  expect(oldNodeMessage("18.19.0")).toBe(
    "fusechat: Node 20 or later is needed, found 18.19.0; install a newer one from nodejs.org",
  );
  expect(oldNodeMessage("20.0.0")).toBeUndefined();
  expect(oldNodeMessage("26.1.0")).toBeUndefined();
});
