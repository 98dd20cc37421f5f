/** The whole experiment in miniature, as a command: interrupted, it goes on, and ends with the undisturbed figures. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fusechat, temporaryFolder } from "../../run/fixtures.ts";

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const SMALL = ["--seeds", "2", "--conversations", "16", "--held-out", "16", "--curve", "16,24", "--recommended", "32"];

test("a killed experiment goes on with the next model and tells what an undisturbed one tells", async () => {
  const out = join(folder, "experiment");
  const command = ["lab", "experiment", "--out", out, ...SMALL];
  const killed = fusechat(command);
  await expect.poll(() => killed.printed().stderr, { timeout: 600_000, interval: 20 }).toMatch(/ [1-9]\d*\/\d+ models/);
  killed.kill("SIGKILL");
  await killed.finished;
  const { exitCode, stderr, stdout } = await fusechat(command).finished;
  expect(exitCode, stderr).toBe(0);
  expect(stdout).toContain("targets are better than the pivot: ");
  const page = await readFile(join(out, "experiment.md"), "utf8");
  expect(page).toContain("| SCE merges better than the mean | ");
  const result = JSON.parse(await readFile(join(out, "experiment.json"), "utf8"));
  expect(result).toMatchObject({ format: "fusechat-experiment-1", seeds: 2, pivot: "lab-mistral" });
  for (const { name, above_floor: distance } of result.models) expect(Number.isFinite(distance), name).toBe(true);
  const again = await fusechat(command).finished;
  expect(again.stdout).toBe(stdout);
  const other = await fusechat([...command, "--held-out", "17"]).finished;
  expect([other.exitCode, other.stderr]).toEqual([2, expect.stringContaining("belongs to an experiment with other")]);
}, 900_000);
