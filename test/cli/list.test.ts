/** The verb `list`: every list has its entries with sources, and a misspelt list is told. */
import { expect, test } from "vitest";
import { listVerb } from "#src/cli/list.js";
import { runCommandLine } from "#src/cli/program.js";
import { METHODS } from "#src/merge/methods/index.js";
import { memoryStreams } from "./memory-streams.ts";

async function list(...arguments_: string[]) {
  const streams = memoryStreams();
  const exitCode = await runCommandLine(["list", ...arguments_], streams, new AbortController().signal, [listVerb]);
  return { exitCode, stdout: streams.stdout.text, stderr: streams.stderr.text };
}

test.each([
  ["methods", METHODS.map(({ name }) => name)],
  ["strategies", ["split", "exact"]],
  ["functions", ["min-ce", "avg-ce", "source"]],
  ["models", ["llama", "mistral", "mixtral", "qwen2"]],
  ["benchmarks", ["held-out"]],
])("list %s names them, with sources", async (what, names) => {
  const { exitCode, stdout } = await list(what, "--json");
  expect(exitCode).toBe(0);
  const entries: Record<string, string>[] = JSON.parse(stdout);
  expect(entries.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
  for (const entry of entries) {
    expect(Object.keys(entry)).toEqual(["name", "summary", "source"]);
    for (const text of Object.values(entry)) expect(text).not.toBe("");
  }
});

test("for people the list is a table", async () => {
  const { stdout } = await list("methods");
  const lines = stdout.trimEnd().split("\n");
  expect(lines[0]).toMatch(/^name +summary +source$/);
  expect(lines[1]).toMatch(/^sce +select by variance .*arXiv:2408\.07990/);
});

test("an unknown list is refused with a suggestion", async () => {
  const { exitCode, stderr } = await list("metods");
  expect(stderr).toBe(
    'fusechat list: expected one of methods, strategies, functions, models, benchmarks, found "metods"; did you mean "methods"?\n',
  );
  expect(exitCode).toBe(2);
});
