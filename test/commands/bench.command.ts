/** The benchmarks are run by hand; here each runs once on something tiny, so that none of them falls behind the code. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");

async function bench(script: string, ...parameters: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [`bench/${script}.mjs`, ...parameters], { cwd: root });
  return stdout;
}

test("bench/engine times a training step and a teacher pass", async () => {
  const printed = await bench("engine", "--quick");
  expect(printed).toContain("quick, training: 2 x 16 positions");
  expect(printed).toContain("quick, teacher: 2 x 16 positions");
  expect(printed.match(/this engine +\d+ ms \(\d+ to \d+\), peak \d+ MB/g)).toHaveLength(2);
  expect(printed).not.toContain("NaN");
});

test("bench/optimiser times plain loops and vectors", async () => {
  const printed = await bench("optimiser", "--quick", "--threads", "2");
  for (const side of ["plain loops", "vectors, 1 thread", "vectors, 2 threads"]) {
    expect(printed).toMatch(new RegExp(`^${side} +norm and update \\d.* speed x \\d.*; adding \\d`, "m"));
  }
  expect(printed).not.toContain("NaN");
});

test("bench/merge times the command beside reading and writing, with its private memory", async () => {
  const printed = await bench("merge", "--quick");
  expect(printed).toContain("largest tensor 0 MB, without mergekit, which --mergekit names; 1 rounds, file cache warm");
  const line =
    /^fusechat +\d+\.\d+ s \(.*\), processor \d.* s, \d+ % of the files' speed, \d+ MB private, \d+\.\d+ of the largest/gm;
  expect(printed.match(line)).toHaveLength(5);
  for (const method of ["sce", "ties", "linear", "task_arithmetic", "slerp"]) {
    expect(printed).toMatch(new RegExp(`^${method}$`, "m"));
  }
  expect(printed).not.toMatch(/NaN|mergekit +\d/);
});

test("bench/merge-methods times every method beside reading and writing", async () => {
  const printed = await bench("merge-methods", "--quick");
  for (const line of [
    "read inputs, write output",
    "linear",
    "sce fusechat",
    "sce paper",
    "sce mergekit",
    "ties",
    "passthrough",
  ]) {
    expect(printed).toMatch(new RegExp(`^${line} +\\d+\\.\\d+ s `, "m"));
  }
  expect(printed).not.toContain("NaN");
});

test("bench/align times every strategy and the whole stage", async () => {
  const printed = await bench("align", "--quick", "32", "1");
  expect(printed).toContain("split, width 20: ");
  expect(printed).toMatch(/^whole stage, split, 1 thread: \d/m);
  expect(printed).toMatch(
    /^whole stage, mapping-statistics, 2 threads: .* peak private memory \d+ MB \(budget 200\)$/m,
  );
  expect(printed).not.toContain("NaN");
});

test("bench/fuse-data looks at the memory that the data of a fusion take", async () => {
  const printed = await bench("fuse-data", "--quick", "300");
  expect(printed).toMatch(/^300 dialogues, \d{5} rows, text \d MB, shards \d+ MB and \d+ MB$/m);
  expect(printed).toMatch(/^all: .* for one pass and 3 steps .* peak private memory \d+ MB$/m);
  expect(printed).toMatch(/^for data: -?\d+ MB \(budget 1000\)$/m);
});

test("bench/judging times judgments beside bare requests, and looks at the heap", async () => {
  const printed = await bench("judging", "--quick");
  expect(printed).toMatch(/^500 judgments +\d+\.\d+ ms of processor time each, \d+ a second, 64 in flight/m);
  expect(printed).toMatch(/^bare requests +\d+\.\d+ ms of processor time each/m);
  expect(printed).toMatch(/^heap +\d+\.\d MB after a tenth, \d+\.\d MB at the end$/m);
});

test("bench/serve asks one client's and several clients' questions", async () => {
  const printed = await bench("serve", "--quick");
  expect(printed).toMatch(/^one client +[\d.]+ tokens\/s/m);
  expect(printed).toMatch(/^8 clients +[\d.]+ tokens\/s, first token after \d+ ms: [\d.]+ x the tokens/m);
});

test("bench/server-rows times rows of both kinds of servers beside bare requests", async () => {
  const printed = await bench("server-rows", "--quick");
  for (const title of ["vLLM", "SGLang"]) {
    const line = `^100 conversations of 700 tokens, ${title} +\\d+\\.\\d+ ms of processor time each`;
    expect(printed).toMatch(new RegExp(line, "m"));
  }
  expect(printed.match(/ours takes \d+\.\d\d times that$/gm)).toHaveLength(2);
});

test("bench/json-array reads records one by one beside JSON.parse", async () => {
  const printed = await bench("json-array", "4", "2");
  expect(
    printed.match(/^ {2}this program, records alone: \d+\.\d s, \d+ MB a second .*, \d+ MB private$/gm),
  ).toHaveLength(2);
  expect(printed.match(/^ {2}ratio of processor time: \d+\.\d$/gm)).toHaveLength(2);
});

test("bench/steps tells what a second round and a mean of models gain", async () => {
  const out = await mkdtemp(join(tmpdir(), "fusechat-bench-"));
  try {
    const names = ["demonstration", "two rounds on the same", "mean of both parts' models"];
    const size = ["--conversations", "16", "--held-out", "16"];
    const printed = await bench("steps", "--out", out, ...size, "--only", names.join(";"));
    for (const name of ["lab-mistral", "lab-qwen2", ...names])
      expect(printed).toMatch(new RegExp(`^${name}: -?\\d+\\.\\d \\[`, "m"));
  } finally {
    await rm(out, { recursive: true, force: true });
  }
});
