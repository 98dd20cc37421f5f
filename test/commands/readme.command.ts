/**
 * The README is run: every command of its `sh` blocks, in order, from the repository root, as a reader would paste it.
 * Installing, testing and the demo are what continuous integration itself consists of, so they are left to it.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const readme = readFileSync(resolve(root, "README.md"), "utf8");
const blocks = [...readme.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block!.trim());
const left = blocks.filter((block) => !block.includes("npm "));

const removeOutput = (): Promise<void> => rm(resolve(root, "out"), { recursive: true, force: true });
beforeAll(removeOutput);
afterAll(removeOutput);

test("the README has commands that are run here, and the two that run this", () => {
  expect(left.length).toBeGreaterThan(0);
  expect(blocks.filter((block) => block.includes("npm "))).toEqual(["npm ci && npm run demo", "npm ci && npm test"]);
});

for (const block of left) {
  test(`the README's ${block.split("\n")[0]}`, async () => {
    const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", block], { cwd: root });
    expect(stdout).not.toBe("");
  });
}
