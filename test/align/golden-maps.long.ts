/**
 * Byte alignment, co-start counts and vocabulary maps of real tokenizers against an independent computation; needs
 * ../shared beside the repository, which holds tokenizers and texts that are not ours to copy.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RowSpans } from "#src/align/sequence.js";
import { alignBytes, bytes as byteAlignment } from "#src/align/sequences/bytes.js";
import { alignByWarping } from "#src/align/sequences/dynamic-programming.js";
import { hasPlace, type SparseMap } from "#src/align/sparse-map.js";
import { exact } from "#src/align/strategies/exact.js";
import { mappingStatistics, mostFrequent } from "#src/align/strategies/mapping-statistics.js";
import { minEdit } from "#src/align/strategies/min-edit.js";
import { prefix } from "#src/align/strategies/prefix.js";
import { split } from "#src/align/strategies/split.js";
import type { StrategyInput, VocabularyStrategy } from "#src/align/strategies/strategy.js";
import { createSurveyor, mergeSurveys } from "#src/align/survey.js";
import { createUnitReader, listUnits } from "#src/align/units/units.js";
import { readVocabulary, type Vocabulary } from "#src/align/vocabulary.js";
import { buildVocabularyMap } from "#src/align/vocabulary-map.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import type { Tokenizer } from "#src/tokenizer/tokenizer.js";
import { tellMissing } from "../shared.ts";
import { publishedTokenizer } from "../tokenizer/published.ts";
import { certain, textShard, writeTextShard } from "./text-shards.ts";

const shared = resolve(import.meta.dirname, "../../../shared");
const golden = join(shared, "golden/align");
const present = existsSync(join(golden, "maps.safetensors"));

tellMissing(present, "the golden maps were not compared");

const lines = (path: string): Record<string, unknown>[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

/** A tokenizer and its vocabulary are in several pairs: each is read once. */
const vocabularies = new Map<string, Vocabulary>();
const vocabulary = async (name: string): Promise<Vocabulary> => {
  const of = await publishedTokenizer(name);
  const known = vocabularies.get(name) ?? readVocabulary(of, of.size);
  vocabularies.set(name, known);
  return known;
};

/** Golden pairs with the share of pivot rows, in percent, where warping says what byte alignment says. */
const PAIRS = [
  ["openchat-3.5", "qwen1.5", 96.0],
  ["openchat-3.5", "internlm2-chat", 96.77],
  ["openchat-3.5", "llama-3", 97.35],
  ["openchat-3.5", "qwen2.5", 96.0],
  ["openchat-3.5", "gemma-it", 96.34],
  ["openchat-3.5", "phi-3-mini", 98.36],
  ["openchat-3.5", "yi-34b-chat", 96.45],
  ["openchat-3.5", "smollm2", 96.95],
  ["qwen2.5", "llama-3", 99.16],
  ["qwen2.5", "openchat-3.5", 95.2],
] as const;

describe.runIf(present)("against the golden pairs", () => {
  test.each(PAIRS)("rows of %s and %s that begin at the same byte are paired", async (pivotName, sourceName, agree) => {
    const texts = lines(join(golden, "texts.jsonl")).map(({ text }) => text as string);
    const rowsOf = async (name: string): Promise<RowSpans[]> => {
      const of = await publishedTokenizer(name);
      const { bytes } = await vocabulary(name);
      return (await of.encodeBatch(texts)).map(({ ids, byteStart, byteEnd }) => ({
        turn: new Uint16Array(ids.length),
        byteStart,
        byteEnd,
        endOfTurn: new Uint8Array(ids.length),
        token: Uint32Array.from(ids),
        bytes,
      }));
    };
    const pivot = await rowsOf(pivotName);
    const source = await rowsOf(sourceName);
    const pairs = lines(join(golden, "pairs.jsonl")).filter((p) => p.pivot === pivotName && p.source === sourceName);
    expect(pairs).toHaveLength(30);
    let rows = 0;
    let same = 0;
    for (const pair of pairs) {
      const a = pivot[pair.text as number]!;
      const b = source[pair.text as number]!;
      const byBytes = new Int32Array(a.turn.length);
      alignBytes(a, 0, a.turn.length, b, 0, b.turn.length, byBytes);
      expect(Array.from(byBytes)).toEqual(pair.source_index);
      // Warping misses rows where the cheapest way is not the true one; it never has a row that is not true.
      const warped = new Int32Array(a.turn.length);
      alignByWarping(a, 0, a.turn.length, b, 0, b.turn.length, warped);
      expect(warped.every((row, i) => row === -1 || row === byBytes[i])).toBe(true);
      rows += warped.length;
      same += warped.filter((row, i) => row === byBytes[i]).length;
    }
    expect((100 * same) / rows).toBeCloseTo(agree, 2);
  });
});

describe.runIf(present)("against the golden maps", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fusechat-maps-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** The corpus as shards of one tokenizer. */
  const shards = new Map<string, Promise<string>>();
  const shardsOf = (name: string): Promise<string> => {
    const write = async (): Promise<string> => {
      const texts = corpus();
      expect(texts).toHaveLength(1984);
      const of = await publishedTokenizer(name);
      await mkdir(join(folder, name));
      await writeTextShard(
        join(folder, name),
        await textShard(of, texts, { model: name, vocabulary: of.size, topK: 1 }, certain),
      );
      return join(folder, name);
    };
    const written = shards.get(name) ?? write();
    shards.set(name, written);
    return written;
  };

  test.each(present ? (JSON.parse(readFileSync(join(golden, "maps.json"), "utf8")) as GoldenFigures[]) : [])(
    "counts and maps of pivot $pivot and source $source are those of the oracle",
    async (figures) => {
      const { pivot: pivotName, source: sourceName } = figures;
      const { tensors } = await readSafetensors(join(golden, "maps.safetensors"));
      const column = (name: string): Int32Array =>
        tensors.get(`${pivotName}.${sourceName}.${name}`)!.data as Int32Array;
      const [pivotTokenizer, sourceTokenizer] = [
        await publishedTokenizer(pivotName),
        await publishedTokenizer(sourceName),
      ];
      const pivotVocabulary = await vocabulary(pivotName);
      const sourceVocabulary = await vocabulary(sourceName);
      const sides = { pivot: await shardsOf(pivotName), source: await shardsOf(sourceName) };
      const reader = createUnitReader(pivotVocabulary, sourceVocabulary);
      const surveyor = createSurveyor(pivotVocabulary, sourceVocabulary, byteAlignment, "none");
      for (const unit of await listUnits(sides.pivot, sides.source)) await surveyor.add(await reader.open(unit));
      const { counts } = mergeSurveys([surveyor.part()], sourceVocabulary);

      const triples: number[] = [];
      for (let s = 0; s < sourceVocabulary.size; s++) {
        for (let e = counts.start[s]!; e < counts.start[s + 1]!; e++)
          triples.push(s, counts.pivot[e]!, counts.count[e]!);
      }
      expect(triples.length / 3).toBe(figures.count_pairs);
      // Texts that arise where leads differ come after all ids; the oracle does not know them.
      const ofIds = counts.count.subarray(0, counts.start[sourceVocabulary.size]);
      expect(ofIds.reduce((sum, value) => sum + value, 0)).toBe(figures.count_total);
      expect(sha256(Int32Array.from(triples))).toBe(figures.counts_sha256);

      const input: StrategyInput = {
        pivot: pivotVocabulary,
        firstPivotToken: (bytes) => pivotTokenizer.firstTokenOf(bytes),
        counts,
      };
      const ends = { pivotEndOfTurn: -1, sourceEndOfTurn: [] };
      const tokens = column("token");
      const wanted = new Set(tokens);
      const mapBy = (strategy: VocabularyStrategy, all = false): Promise<SparseMap> =>
        buildVocabularyMap(strategy, input, sourceVocabulary, ends, [], (id) => all || wanted.has(id));
      const only = (map: SparseMap, id: number): number => (hasPlace(map, id) ? map.pivot[map.start[id]!]! : -1);

      // The end of turn is the one special token with a place; the oracle's is found as the pair of ids that makes its
      // hash true.
      const exactMap = await mapBy(exact, true);
      const exactIds = Int32Array.from({ length: sourceVocabulary.size }, (_, id) => only(exactMap, id));
      expect(withEndOfTurn(exactIds, sourceTokenizer, pivotTokenizer, figures.exact_sha256)).toBe(true);

      const names = ["exact", "prefix", "min_edit", "map"] as const;
      const maps = await Promise.all([exactMap, mapBy(prefix), mapBy(minEdit), mapBy(mappingStatistics)]);
      const wrong: [string, number, number, number][] = [];
      const compared = { exact: 0, prefix: 0, min_edit: 0, map: 0, most_frequent: 0 };
      tokens.forEach((id, i) => {
        if (sourceVocabulary.byteLength[id]! < 0) return;
        const unequal = column("exact")[i] === -1;
        names.forEach((name, k) => {
          const expected = column(name)[i]!;
          // The oracle gives `prefix` where nothing is equal, and there `min_edit` for the frequent tokens only.
          if ((name === "prefix" && !unequal) || (name === "min_edit" && (!unequal || i >= 3000))) return;
          compared[name]++;
          if (only(maps[k]!, id) !== expected) wrong.push([name, id, expected, only(maps[k]!, id)]);
        });
        const found = mostFrequent({ bytes: sourceVocabulary.bytes(id), source: id }, counts, pivotVocabulary);
        compared.most_frequent++;
        if (found !== column("most_frequent")[i]) wrong.push(["most_frequent", id, column("most_frequent")[i]!, found]);
      });
      expect(wrong).toEqual([]);
      expect(Math.min(...Object.values(compared))).toBeGreaterThan(10);

      const splitMap = await mapBy(split);
      const countStart = column("count_start");
      const expectedShares: [number, number][][] = [];
      const shares: [number, number][][] = [];
      for (let i = 0; i < 3000; i++) {
        const [from, to] = [countStart[i]!, countStart[i + 1]!];
        if (to === from) continue;
        const total = column("count")
          .subarray(from, to)
          .reduce((sum, value) => sum + value, 0);
        const id = tokens[i]!;
        expectedShares.push(
          Array.from({ length: to - from }, (_, e) => [
            column("count_pivot")[from + e]!,
            column("count")[from + e]! / total,
          ]),
        );
        shares.push(
          Array.from({ length: splitMap.start[id + 1]! - splitMap.start[id]! }, (_, e) => [
            splitMap.pivot[splitMap.start[id]! + e]!,
            splitMap.share[splitMap.start[id]! + e]!,
          ]),
        );
      }
      expect(shares).toEqual(expectedShares);
    },
    60_000,
  );
});

interface GoldenFigures {
  readonly pivot: string;
  readonly source: string;
  readonly count_pairs: number;
  readonly count_total: number;
  readonly counts_sha256: string;
  readonly exact_sha256: string;
}

/** True where the map has this hash when one of the special source tokens goes to one of the special pivot tokens. */
function withEndOfTurn(map: Int32Array, source: Tokenizer, pivot: Tokenizer, hash: string): boolean {
  const specials = ({ size, isSpecial }: Tokenizer): number[] =>
    Array.from({ length: size }, (_, id) => id).filter((id) => isSpecial(id));
  const targets = specials(pivot);
  const changed = map.slice();
  return specials(source).some((from) => {
    const found = targets.some((to) => {
      changed[from] = to;
      return sha256(changed) === hash;
    });
    changed[from] = map[from]!;
    return found;
  });
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
