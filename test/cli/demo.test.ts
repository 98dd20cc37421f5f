import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { demoVerb } from "#src/cli/demo.js";
import { runCommandLine } from "#src/cli/program.js";
import { memoryStreams } from "./memory-streams.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-cli-demo-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("without trained models the demo says what makes them, and writes nothing", async () => {
  const streams = memoryStreams();
  const out = join(folder, "out");
  const models = join(folder, "none");
  const exitCode = await runCommandLine(
    ["demo", "--out", out, "--models", models],
    streams,
    new AbortController().signal,
    [demoVerb],
  );
  expect(exitCode).toBe(2);
  expect(streams.stderr.text).toContain(
    `${join(models, "lab-mistral")}: no trained model is here; fusechat lab train makes it`,
  );
  expect(await readdir(folder)).toEqual([]);
});
