/** The verb as a process, on golden shards that carry no tokenizers, against golden alignments. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readAlignedShard } from "#src/align/shard-file.js";
import { fusechat, jsonLines } from "./command.ts";

const golden = resolve(import.meta.dirname, "../golden");
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-align-verb-"));
});
afterAll(() => rm(root, { recursive: true }));

const command = (source: string, out: string): string[] => [
  "align",
  "--pivot",
  join(golden, "pipeline/distributions/mistral"),
  "--source",
  join(golden, "pipeline/distributions", source),
  "--out",
  out,
];
const models = (source: string): string[] => [
  "--pivot-model",
  join(golden, "models/mistral"),
  "--source-model",
  join(golden, "models", source),
];

describe.each(["qwen2", "gemma2"])("fusechat align of the golden mistral and %s", (source) => {
  test("gives the golden shard, entry by entry", async () => {
    const out = join(root, source);
    const run = await fusechat(
      ...command(source, out),
      ...models(source),
      "--vocabulary",
      "exact",
      "--width",
      "10",
      "--json",
    );
    expect(run.stderr).toBe("");
    expect(run.code).toBe(0);
    const folder = join(golden, "pipeline/aligned", source);
    const shard = await readAlignedShard(join(folder, "shard-00000.safetensors"), 479);
    // The golden divisors count also the white space of conversation 5 that the template of gemma2 trims.
    const sourceBytes = shard.sourceBytes.map((bytes, n) => (source === "gemma2" && n === 5 ? bytes - 7 : bytes));
    expect(await readAlignedShard(join(out, "shard-00000.safetensors"), 479)).toEqual({ ...shard, sourceBytes });
    const expected = JSON.parse(await readFile(join(folder, "alignment.json"), "utf8"));
    const report = JSON.parse(await readFile(join(out, "alignment.json"), "utf8"));
    for (const key of [
      "rows",
      "shared_rows",
      "unshared_rows",
      "shared_rows_with_different_leads",
      "shared_rows_without_mass",
    ]) {
      expect([key, report[key]]).toEqual([key, expected[key]]);
    }
    for (const key of ["mass_stored", "mass_kept", "mass_lost"]) expect(report[key]).toBeCloseTo(expected[key], 12);
    expect(report.source_better_conversations).toBe(expected.source_chosen.length);
    expect(report.examples).toHaveLength(20);
    expect(jsonLines(run).at(-1)).toMatchObject({
      type: "result",
      vocabulary: "exact",
      shared_rows: expected.shared_rows,
    });
  });
});

describe("fusechat align", () => {
  test("takes split and twice the source's top_k by default, and prints every strategy's share", async () => {
    const out = join(root, "default");
    const run = await fusechat(...command("qwen2", out), ...models("qwen2"));
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(
      /345 of 367 rows shared \(94\.0 %\), of their mass\n {2}split: 97\.9 % placed, 2\.1 % without a place \(used\)/,
    );
    const shard = await readAlignedShard(join(out, "shard-00000.safetensors"), 479);
    expect(shard.topId.length).toBe(367 * 20);
    expect(shard.metadata).toEqual({ pivot: "mistral", source: "qwen2", sequence: "bytes", vocabulary: "split" });
  });

  const refusals: [string, string[], string][] = [
    [
      "an unknown strategy",
      [...models("qwen2"), "--vocabulary", "exakt"],
      'unknown vocabulary strategy "exakt"; did you mean "exact"?',
    ],
    [
      "an unknown sequence alignment",
      [...models("qwen2"), "--sequence", "byte"],
      'unknown sequence alignment "byte"; did you mean "bytes"?',
    ],
    ["a width of nought", [...models("qwen2"), "--width", "0"], "Expected at least 1"],
    [
      "shards without tokenizers",
      [],
      "no tokenizer.json lies beside the shards; name the model's folder with --pivot-model",
    ],
    [
      "another model's tokenizer",
      ["--pivot-model", join(golden, "models/qwen2"), "--source-model", join(golden, "models/qwen2")],
      "is not the tokenizer that the shards in",
    ],
  ];
  test.each(refusals)("refuses %s with exit code 2, and writes nothing", async (name, options, message) => {
    const run = await fusechat(...command("qwen2", join(root, name)), ...options);
    expect(run).toMatchObject({ code: 2, stdout: "" });
    expect(run.stderr).toContain(message);
    expect(await readdir(root)).not.toContain(name);
  });
});
