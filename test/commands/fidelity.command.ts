/** The benchmark of fidelity is run by hand; here once on a few places, so that it does not fall behind the code. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const present = existsSync(join(root, "../shared/golden/align/fidelity.safetensors"));

test("bench/fidelity judges every strategy and refinement, or says what it needs", async () => {
  const parameters = ["bench/fidelity.mjs", "8", "qwen2.5", "openchat-3.5"];
  const { stdout } = await promisify(execFile)(process.execPath, parameters, { cwd: root });
  if (!present) {
    expect(stdout).toMatch(/^skipped: .* is not there/);
    return;
  }
  for (const line of ["split", "exact", "label_mass: chain", "path, all places kept", "the truth: divide and chain"]) {
    expect(stdout).toMatch(new RegExp(`^ {2}${line} +\\d\\.\\d{4} \\[`, "m"));
  }
  expect(stdout).not.toContain("NaN");
}, 60_000);
