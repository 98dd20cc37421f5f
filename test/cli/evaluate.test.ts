/** The verb on the embedded engine: the golden models' held-out figures. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { evaluateVerb } from "#src/cli/evaluate.js";
import { runCommandLine } from "#src/cli/program.js";
import { memoryStreams } from "./memory-streams.ts";

const golden = resolve(import.meta.dirname, "../golden");
const data = join(golden, "pipeline/held_out.jsonl");
const expected: Record<string, { nats_per_byte: number; rows: number; bytes: number; conversations: number }> =
  JSON.parse(readFileSync(join(golden, "pipeline/expected.json"), "utf8")).held_out;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-cli-evaluate-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function run(...arguments_: string[]) {
  const streams = memoryStreams();
  const exitCode = await runCommandLine(["evaluate", ...arguments_], streams, new AbortController().signal, [
    evaluateVerb,
  ]);
  return { exitCode, stdout: streams.stdout.text, stderr: streams.stderr.text };
}

describe("golden held-out figures", () => {
  test.each([
    ["mistral", "models/mistral"],
    ["qwen2", "models/qwen2"],
    ["targets/qwen2", "pipeline/targets/qwen2"],
    ["targets/gemma2", "pipeline/targets/gemma2"],
  ])("%s", async (name, path) => {
    const result = await run("held-out", "--model", join(golden, path), "--data", data, "--json");
    expect(result, result.stderr).toMatchObject({ exitCode: 0 });
    const document = JSON.parse(result.stdout);
    const { nats_per_byte, rows, bytes, conversations } = expected[name]!;
    expect(document).toMatchObject({ benchmark: "held-out", model: join(golden, path), rows, bytes, conversations });
    expect(Math.abs(document.metrics.nats_per_byte.value - nats_per_byte)).toBeLessThan(1e-4);
    expect(document.metrics.nats_per_byte.unit).toBe("nats/byte");
  });
});

describe("--against", () => {
  test("compares with another model on the same conversations, and says what that shows", async () => {
    const model = join(golden, "pipeline/targets/qwen2");
    const against = join(golden, "models/mistral");
    const { exitCode, stdout } = await run("held-out", "--model", model, "--data", data, "--against", against);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`${model}: 3 conversations, 82 rows, 120 bytes\n`);
    expect(stdout).toMatch(/nats_per_byte {2}5\.5370 \[\d\.\d{4}, \d\.\d{4}\] nats\/byte/);
    expect(stdout).toContain(`${model} minus ${against}, on the 3 prompts of both:\n`);
    // Three conversations agree by chance once in four times: no verdict, whatever the interval says.
    expect(stdout).toMatch(/nats_per_byte {2}-0\.2433 \[-\d\.\d{4}, -\d\.\d{4}\] p 0\.2\d{3} {2}within noise/);
  });

  test("adds the difference and the other model's figures to the document", async () => {
    const model = join(golden, "models/mistral");
    const arguments_ = ["held-out", "--model", model, "--data", data, "--against", model, "--json", "--quiet"];
    const { stdout, stderr } = await run(...arguments_);
    expect(stderr).toBe("");
    const { metrics, against } = JSON.parse(stdout);
    expect(against).toMatchObject({ model, conversations: 3, figures: metrics });
    expect(against.metrics.nats_per_byte).toMatchObject({ value: 0, low: 0, high: 0, p: 1, verdict: "within noise" });
  });
});

describe("a wrong command line or input ends with 2", () => {
  const model = join(golden, "models/mistral");
  test.each([
    [["held-out", "--model", model], "fusechat evaluate held-out: needs conversations to measure on; add --data FILE"],
    [["held-oot", "--model", model], 'unknown benchmark "held-oot"; did you mean "held-out"? (there is: held-out, '],
    [["held-out", "--data", data], "fusechat evaluate held-out: needs a model to measure; add --model FOLDER"],
    [["held-out", "--model", model, "--data", data, "--max-length", "0"], "expected at least 1, found"],
    [["held-out", "--model", "/nowhere", "--data", data], "/nowhere"],
    [["held-out", "--model", model, "--data", "/nowhere.jsonl"], "/nowhere.jsonl: no such file or folder"],
  ])("%j", async (arguments_, message) => {
    const { exitCode, stdout, stderr } = await run(...arguments_);
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(message);
  });

  test("an empty data set", async () => {
    const empty = join(folder, "empty.jsonl");
    await writeFile(empty, "");
    const { exitCode, stderr } = await run("held-out", "--model", model, "--data", empty);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/empty/);
  });
});
