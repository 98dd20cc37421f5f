/** What another program hears of damaged files: every call ends with an error of ours, and nothing reaches nobody. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");

test("a program that reads damaged files hears of each as an error, and of nothing else", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-host-"));
  try {
    const script = join(import.meta.dirname, "host-program.mjs");
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, root, folder], {
      encoding: "utf8",
      maxBuffer: 1 << 24,
    });
    expect(status, stderr).toBe(0);
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const results = lines.find((line) => "results" in line).results as { name: string; outcome: string }[];
    expect(results.length).toBeGreaterThan(80);
    // A changed byte need not be wrong: in the middle of weights it is another weight.
    expect(results.filter(({ outcome }) => !["read", "input"].includes(outcome))).toEqual([]);
    expect(results.filter(({ outcome }) => outcome === "read").length).toBeLessThan(results.length / 2);
    expect(lines.find((line) => "unheard" in line)).toEqual({ unheard: [] });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
