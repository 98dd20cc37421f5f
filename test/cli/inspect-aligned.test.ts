/** `inspect` of an aligned folder, made from the golden pipeline's shards. */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { alignDistributions } from "#src/align/align.js";
import { formatAligned, summariseAligned } from "#src/cli/inspect-aligned.js";
import { formatPassage, visibleToken } from "#src/cli/passage-lines.js";
import { silent } from "#src/reporter.js";
import { fusechat } from "./command.ts";

const golden = resolve(import.meta.dirname, "../golden");
const SHARD = "shard-00000.safetensors";
let root: string;
let folder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-inspect-aligned-"));
  folder = join(root, "qwen2");
  await alignDistributions(
    {
      pivot: join(golden, "pipeline/distributions/mistral"),
      source: join(golden, "pipeline/distributions/qwen2"),
      out: folder,
      vocabulary: "split",
      sequence: "bytes",
      labelMass: "chain",
      pivotModel: join(golden, "models/mistral"),
      sourceModel: join(golden, "models/qwen2"),
    },
    { reporter: silent },
  );
});
afterAll(() => rm(root, { recursive: true }));

const span = (text: string, byte_start: number, byte_end: number) => ({ text, byte_start, byte_end });

describe("inspect of an aligned folder", () => {
  test("prints coverage, options, strategies, pairs, and passages under both tokenisations", async () => {
    const run = await fusechat("inspect", folder);
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(/^shared rows +345$/m);
    expect(run.stdout).toMatch(/^ {2}label mass +chain$/m);
    expect(run.stdout).toMatch(/^ {2}divide +counts$/m);
    expect(run.stdout).toMatch(/^ {2}to the same bytes +52\.61 %$/m);
    expect(run.stdout).toMatch(/^ {2}split \* +366 +357 +58\.51 % +1\.27 %$/m);
    expect(run.stdout).toMatch(/^ {2}‹ct› +0\.58 % +0\.58 % +‹c› 100\.00 %$/m);
    const lines = run.stdout.split("\n");
    const at = lines.indexOf("conversation 4, turn 4: 11 of 11 rows shared");
    expect(lines.slice(at + 2, at + 4).map((line) => line.replaceAll(" ", ""))).toEqual([
      "pivot│T│h│at│␣m│ak│es│␣│8│4│.│<|end_of_turn|>│",
      "source│T│h│at│␣m│ak│es│␣│8│4│.│<|im_end|>│",
    ]);
  });

  test("gives all of alignment.json as data", async () => {
    const run = await fusechat("inspect", folder, "--json");
    const summary = JSON.parse(run.stdout);
    expect(summary).toMatchObject({ kind: "aligned", rows: 367, shared_rows: 345 });
    expect(summary.alignment).toEqual(JSON.parse(await readFile(join(folder, "alignment.json"), "utf8")));
    // The token is ` T`, whose space lies before the response.
    expect(summary.alignment.passages[1].pivot[0]).toEqual({ token: 306, text: "T", byte_start: 0, byte_end: 1 });
  });

  test("has the shards' figures alone for one shard, and where alignment.json is not there or is another's", async () => {
    const other = join(root, "other");
    await mkdir(other);
    await copyFile(join(folder, SHARD), join(other, SHARD));
    const paths = [join(other, SHARD)];
    const bare = await summariseAligned(paths, other, {});
    expect(bare).toMatchObject({ kind: "aligned", conversations: 8, rows: 367, shared_rows: 345 });
    expect(bare).not.toHaveProperty("alignment");
    expect(formatAligned(bare)).not.toContain("strategy");
    await writeFile(join(other, "alignment.json"), `{"rows": 367}`);
    expect(await summariseAligned(paths, other, {})).toEqual(bare);
    expect(await summariseAligned([join(folder, SHARD)], join(folder, SHARD), {})).not.toHaveProperty("alignment");
  });
});

describe("a passage in the terminal", () => {
  test("has its boundaries over the same bytes, wide signs counted as two columns", () => {
    const text = formatPassage({
      conversation: 3,
      turn: 1,
      text: "日本 cat",
      pivot: [span("日本", 0, 6), span(" cat", 6, 10), span("</s>", 10, 10)],
      source: [span("日", 0, 3), span("本", 3, 6), span(" c", 6, 8), span("at", 8, 10), span("<end>", 10, 10)],
      shared: [
        {
          pivot: 0,
          source: 0,
          went: [{ text: "日", probability: 0.5, places: [{ text: "日本", probability: 0.25 }] }],
        },
        { pivot: 2, source: 4, went: [{ text: "<end>", probability: 1, places: [] }] },
      ],
    });
    expect(text.split("\n")).toEqual([
      "conversation 3, turn 1: 2 of 3 rows shared",
      "  shared  1           2",
      "  pivot  │日本 │␣cat │</s> │",
      "  source │日│本│␣c│at│<end>│",
      "  1: ‹日本› / ‹日›",
      "     ‹日› 0.5000 → ‹日本› 0.2500",
      "  2: ‹</s>› / ‹<end>›",
      "     ‹<end>› 1.0000 → no place",
    ]);
  });

  test("shows what could steer a terminal as numbers", () => {
    expect(visibleToken("a\u001b[31m\u202e\r\u2028")).toBe("a\\u{1b}[31m\\u{202e}\\u{d}\\u{2028}");
    expect(visibleToken(" \n\t\u0301")).toBe("␣↵⇥\u0301");
    expect(visibleToken("\u0301")).toBe("\u25cc\u0301");
  });
});
