/**
 * Byte alignment, co-start counts and vocabulary maps of real tokenizers against an independent computation; needs
 * ../shared beside the repository, which holds tokenizers and texts that are not ours to copy.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { alignBytes, bytes as byteAlignment } from "#src/align/sequences/bytes.js";
import { exact } from "#src/align/strategies/exact.js";
import { prefix } from "#src/align/strategies/prefix.js";
import { split } from "#src/align/strategies/split.js";
import type { StrategyInput } from "#src/align/strategies/strategy.js";
import { surveyFolders } from "#src/align/survey.js";
import { readVocabulary } from "#src/align/vocabulary.js";
import { buildVocabularyMap } from "#src/align/vocabulary-map.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { loadTokenizer } from "#src/tokenizer/load.js";
import type { Tokenizer } from "#src/tokenizer/tokenizer.js";
import { certain, textShard, writeTextShard } from "./text-shards.ts";

const shared = resolve(import.meta.dirname, "../../../shared");
const golden = join(shared, "golden/align");
const present = existsSync(join(golden, "maps.safetensors"));

test.runIf(!present)("skipped: ../shared is not there, so the golden maps were not compared", () => {});

const lines = (path: string): Record<string, unknown>[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

const tokenizers = new Map<string, Promise<Tokenizer>>();
const tokenizer = (name: string): Promise<Tokenizer> => {
  let loading = tokenizers.get(name);
  if (loading === undefined) {
    loading = loadTokenizer(join(shared, "data/tokenizers", name));
    tokenizers.set(name, loading);
  }
  return loading;
};

describe.runIf(present)("against the golden pairs", () => {
  test.each([
    ["openchat-3.5", "qwen1.5"],
    ["openchat-3.5", "phi-3-mini"],
    ["qwen2.5", "llama-3"],
    ["qwen2.5", "openchat-3.5"],
  ])("rows of %s and %s that begin at the same byte are paired", async (pivotName, sourceName) => {
    const texts = lines(join(golden, "texts.jsonl")).map(({ text }) => text as string);
    const spans = async (name: string) =>
      (await (await tokenizer(name)).encodeBatch(texts)).map(({ byteStart, byteEnd }) => ({
        turn: new Uint16Array(byteStart.length),
        byteStart,
        byteEnd,
        endOfTurn: new Uint8Array(byteStart.length),
      }));
    const pivot = await spans(pivotName);
    const source = await spans(sourceName);
    const pairs = lines(join(golden, "pairs.jsonl")).filter((p) => p.pivot === pivotName && p.source === sourceName);
    expect(pairs).toHaveLength(30);
    for (const pair of pairs) {
      const a = pivot[pair.text as number]!;
      const b = source[pair.text as number]!;
      const out = new Int32Array(a.turn.length);
      alignBytes(a, 0, a.turn.length, b, 0, b.turn.length, out);
      expect(Array.from(out)).toEqual(pair.source_index);
    }
  });
});

describe.runIf(present)("against the golden maps", () => {
  test.each([
    ["openchat-3.5", "qwen1.5"],
    ["qwen2.5", "openchat-3.5"],
  ])(
    "counts and maps of pivot %s and source %s are those of the oracle",
    async (pivotName, sourceName) => {
      const figures = (JSON.parse(readFileSync(join(golden, "maps.json"), "utf8")) as Record<string, unknown>[]).find(
        (entry) => entry.pivot === pivotName && entry.source === sourceName,
      )!;
      const { tensors } = await readSafetensors(join(golden, "maps.safetensors"));
      const column = (name: string): Int32Array =>
        tensors.get(`${pivotName}.${sourceName}.${name}`)!.data as Int32Array;
      const [pivotTokenizer, sourceTokenizer] = [await tokenizer(pivotName), await tokenizer(sourceName)];
      const pivotVocabulary = readVocabulary(pivotTokenizer, pivotTokenizer.size);
      const sourceVocabulary = readVocabulary(sourceTokenizer, sourceTokenizer.size);

      const texts = corpus();
      expect(texts).toHaveLength(1984);
      const folder = await mkdtemp(join(tmpdir(), "fusechat-maps-"));
      const sides = { pivot: join(folder, "pivot"), source: join(folder, "source") };
      for (const [side, tokenizerOfSide] of [
        ["pivot", pivotTokenizer],
        ["source", sourceTokenizer],
      ] as const) {
        await mkdir(sides[side]);
        const settings = { model: side, vocabulary: tokenizerOfSide.size, topK: 1 };
        await writeTextShard(sides[side], await textShard(tokenizerOfSide, texts, settings, certain));
      }
      const survey = await surveyFolders({ ...sides, pivotVocabulary, sourceVocabulary }, byteAlignment, () => {});
      await rm(folder, { recursive: true });

      const { start, pivot, count } = survey.counts;
      const triples: number[] = [];
      for (let s = 0; s < sourceVocabulary.size; s++) {
        for (let e = start[s]!; e < start[s + 1]!; e++) triples.push(s, pivot[e]!, count[e]!);
      }
      expect(triples.length / 3).toBe(figures.count_pairs);
      expect(count.reduce((sum, value) => sum + value, 0)).toBe(figures.count_total);
      expect(sha256(Int32Array.from(triples))).toBe(figures.counts_sha256);

      const goldenExact = column("exact");
      const tokens = column("token");
      const ends = { pivotEndOfTurn: -1, sourceEndOfTurn: [] };
      const input: StrategyInput = {
        pivot: pivotVocabulary,
        firstPivotToken: (bytes) => pivotTokenizer.firstTokenOf(bytes),
        counts: survey.counts,
      };
      // The end of turn is the one special token with a place; the oracle's is found as the pair of ids that makes its
      // hash true.
      const exactMap = await buildVocabularyMap(exact, input, sourceVocabulary, ends, [], () => true);
      const exactIds = Int32Array.from({ length: sourceVocabulary.size }, (_, id) =>
        exactMap.start[id + 1]! > exactMap.start[id]! ? exactMap.pivot[exactMap.start[id]!]! : -1,
      );
      tokens.forEach((id, i) => {
        if (sourceVocabulary.special[id] === 0) expect(exactIds[id]).toBe(goldenExact[i]);
      });
      expect(endOfTurnHashes(exactIds, sourceTokenizer, pivotTokenizer)).toContain(figures.exact_sha256);

      const wanted = new Set(tokens);
      const prefixMap = await buildVocabularyMap(prefix, input, sourceVocabulary, ends, [], (id) => wanted.has(id));
      const goldenPrefix = column("prefix");
      tokens.forEach((id, i) => {
        if (goldenExact[i] !== -1 || sourceVocabulary.byteLength[id]! < 0) return;
        expect([id, prefixMap.pivot[prefixMap.start[id]!]]).toEqual([id, goldenPrefix[i]]);
      });

      const splitMap = await buildVocabularyMap(split, input, sourceVocabulary, ends, [], (id) => wanted.has(id));
      const countStart = column("count_start");
      const countPivot = column("count_pivot");
      const counts = column("count");
      for (let i = 0; i < 3000; i++) {
        const from = countStart[i]!;
        const to = countStart[i + 1]!;
        if (to === from) continue;
        const total = counts.subarray(from, to).reduce((sum, value) => sum + value, 0);
        const at = splitMap.start[tokens[i]!]!;
        expect(splitMap.start[tokens[i]! + 1]! - at).toBe(to - from);
        for (let e = 0; e < to - from; e++) {
          expect(splitMap.pivot[at + e]).toBe(countPivot[from + e]);
          expect(splitMap.share[at + e]).toBeCloseTo(counts[from + e]! / total, 12);
        }
      }
    },
    60_000,
  );
});

/** Hashes of the map with each special source token in turn going to each special pivot token. */
function endOfTurnHashes(map: Int32Array, source: Tokenizer, pivot: Tokenizer): string[] {
  const specials = ({ size, isSpecial }: Tokenizer): number[] =>
    Array.from({ length: size }, (_, id) => id).filter((id) => isSpecial(id));
  const hashes: string[] = [];
  for (const from of specials(source)) {
    for (const to of specials(pivot)) {
      const changed = map.slice();
      changed[from] = to;
      hashes.push(sha256(changed));
    }
  }
  return hashes;
}

function sha256(values: Int32Array): string {
  return createHash("sha256")
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest("hex");
}

/** The responses that the oracle counted, in its order. */
function corpus(): string[] {
  const parts: [string, number, string?][] = [
    ["alpaca/alpaca.jsonl", 500],
    ["alpaca/alpaca_zh.jsonl", 100],
    ["gsm8k/train_3000.jsonl", 500],
    ["code/mbpp.jsonl", 200, "code"],
    ["code/HumanEval.jsonl", 100, "canonical_solution"],
    ["multi_turn/mt_bench_answers.jsonl", 150],
    ["multi_turn/mtbench101.jsonl", 100],
  ];
  return parts.flatMap(([file, count, field]) =>
    lines(join(shared, "data/chat", file))
      .slice(0, count)
      .flatMap((line) =>
        field === undefined
          ? (line.messages as { role: string; content: string }[])
              .filter(({ role }) => role === "assistant")
              .map(({ content }) => content)
          : [line[field] as string],
      ),
  );
}
