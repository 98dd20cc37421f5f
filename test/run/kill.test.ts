/** A run that is killed without warning, again and again, against one that is left alone. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createRandom } from "#src/random.js";
import { fusechat, hashesOf, temporaryFolder, writeRecipe } from "./fixtures.ts";

const folder = await temporaryFolder();
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Kills, and the time each attempt is given: an undisturbed run takes some six seconds on two idle cores. */
const KILLS = 5;
const SHORTEST_MS = 700;
const LONGEST_MS = 4000;

test("killed at random moments and started again, a run ends with the same bytes in every file", async () => {
  const recipe = await writeRecipe(folder);
  const undisturbed = join(folder, "undisturbed");
  const first = await fusechat(["run", recipe, "--out", undisturbed]).finished;
  expect(first.exitCode, first.stderr).toBe(0);

  const killed = join(folder, "killed");
  const random = createRandom("kills");
  let died = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const run = fusechat(["run", recipe, "--out", killed]);
    const delay = SHORTEST_MS + random.next() * (LONGEST_MS - SHORTEST_MS);
    const timer = setTimeout(() => run.kill("SIGKILL"), delay);
    const { exitCode, stderr } = await run.finished;
    clearTimeout(timer);
    if (exitCode === null) died++;
    else expect(exitCode, stderr).toBe(0);
  }
  expect(died).toBeGreaterThanOrEqual(2);
  const last = await fusechat(["run", recipe, "--out", killed]).finished;
  expect(last.exitCode, last.stderr).toBe(0);

  const expected = await hashesOf(undisturbed);
  expect(Object.keys(expected).length).toBeGreaterThan(40);
  expect(await hashesOf(killed)).toEqual(expected);
}, 300_000);
