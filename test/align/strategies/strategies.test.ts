import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createCoStartCounter } from "#src/align/co-starts.js";
import type { SparseMap } from "#src/align/sparse-map.js";
import { DEFAULT_STRATEGY, findStrategy, STRATEGIES } from "#src/align/strategies/index.js";
import { createNearest } from "#src/align/strategies/min-edit.js";
import { readVocabulary } from "#src/align/vocabulary.js";
import { buildVocabularyMap } from "#src/align/vocabulary-map.js";
import { naiveDistance } from "../naive-distance.ts";
import { toyTokenizer } from "../toy-tokenizer.ts";

// The pivot writes 's and 't as one token; byte pieces stand for what has no token of its own.
const PIVOT = ["<end>", "a", "'s", "'t", "'", "ab", Uint8Array.of(0x61), "2024", Uint8Array.of(0xff)];
const SOURCE = ["'", "a", "abc", "<end>", "<pad>", null, "zz", "'s", Uint8Array.of(0xff), "2"];
const END = 0;
const SOURCE_END = 3;

async function places(name: string, counted: readonly [number, number, number][] = []): Promise<[number, number][][]> {
  const pivot = toyTokenizer(PIVOT);
  const vocabulary = readVocabulary(pivot, PIVOT.length);
  // The source's head is two ids wider than its tokenizer.
  const source = readVocabulary(toyTokenizer(SOURCE), SOURCE.length + 2);
  const counter = createCoStartCounter();
  for (const [s, p, count] of counted) for (let i = 0; i < count; i++) counter.add(s, p);
  const map: SparseMap = await buildVocabularyMap(
    findStrategy(name),
    { pivot: vocabulary, counts: counter.counts(source.size), firstPivotToken: (bytes) => pivot.firstTokenOf(bytes) },
    source,
    { pivotEndOfTurn: END, sourceEndOfTurn: [SOURCE_END] },
    [],
    () => true,
  );
  return Array.from({ length: source.size }, (_, id) =>
    Array.from({ length: map.start[id + 1]! - map.start[id]! }, (_, k): [number, number] => [
      map.pivot[map.start[id]! + k]!,
      map.share[map.start[id]! + k]!,
    ]),
  );
}

const NONE: [number, number][] = [];

describe("exact", () => {
  test("gives equal bytes their token, an ordinary piece before a byte piece, and the rest no place", async () => {
    expect(await places("exact")).toEqual([
      [[4, 1]],
      [[1, 1]],
      NONE,
      [[END, 1]],
      NONE,
      NONE,
      NONE,
      [[2, 1]],
      [[8, 1]],
      NONE,
      NONE,
      NONE,
    ]);
  });
});

describe("prefix", () => {
  test("gives the rest the first pivot token of their text, where there is one", async () => {
    const [, , abc, end, special, noToken, zz] = await places("prefix");
    expect([abc, end, special, noToken, zz]).toEqual([[[5, 1]], [[END, 1]], NONE, NONE, NONE]);
  });
});

describe("split", () => {
  test("divides by counts, with no privilege for equal bytes, and falls to prefix where nothing was seen", async () => {
    const [quote, a, abc, end, special, , , quoteS] = await places("split", [
      [0, 2, 6],
      [0, 3, 1],
      [0, 4, 1],
      [9, 7, 2],
    ]);
    expect(quote).toEqual([
      [2, 0.75],
      [3, 0.125],
      [4, 0.125],
    ]);
    expect([a, abc, end, special, quoteS]).toEqual([[[1, 1]], [[5, 1]], [[END, 1]], NONE, [[2, 1]]]);
  });

  test("sends a digit to the number that the pivot writes there", async () => {
    expect((await places("split", [[9, 7, 2]]))[9]).toEqual([[7, 1]]);
    expect((await places("exact"))[9]).toEqual(NONE);
  });
});

describe("mapping-statistics", () => {
  test("lets equal bytes win, else the most frequent partner, else prefix", async () => {
    const [quote, , abc, end, special, , zz] = await places("mapping-statistics", [
      [0, 2, 6],
      [2, 7, 2],
      [2, 3, 1],
    ]);
    expect([quote, abc, end, special, zz]).toEqual([[[4, 1]], [[7, 1]], [[END, 1]], NONE, NONE]);
  });

  test("breaks ties by the longest common prefix, then by the lowest id, and not by the rarer partner", async () => {
    expect(
      (
        await places("mapping-statistics", [
          [2, 4, 3],
          [2, 1, 3],
          [2, 5, 3],
          [2, 7, 1],
        ])
      )[2],
    ).toEqual([[5, 1]]);
    expect(
      (
        await places("mapping-statistics", [
          [2, 7, 2],
          [2, 3, 2],
          [2, 4, 1],
        ])
      )[2],
    ).toEqual([[3, 1]]);
  });
});

describe("min-edit", () => {
  test("gives the rest the nearest token: ties by the longest common prefix, then the lowest id", async () => {
    const [quote, a, abc, end, special, noToken, zz, , , two] = await places("min-edit");
    expect([quote, a, end, special, noToken]).toEqual([[[4, 1]], [[1, 1]], [[END, 1]], NONE, NONE]);
    expect(abc).toEqual([[5, 1]]);
    // All tokens of two bytes are at distance two from zz, those of one byte too: the lowest id.
    expect(zz).toEqual([[1, 1]]);
    expect(two).toEqual([[1, 1]]);
  });

  test("is the plain search over all tokens, whatever the lengths", () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 40, max: 40 });
    const short = fc.uint8Array({ minLength: 1, maxLength: 6, min: 96, max: 100 });
    fc.assert(
      fc.property(
        fc.array(fc.oneof(bytes, short), { minLength: 1, maxLength: 60 }),
        fc.oneof(bytes, short),
        (tokens, text) => {
          const vocabulary = readVocabulary(toyTokenizer(tokens), tokens.length);
          const ranked = tokens
            .map((token, id) => {
              const common = token.findIndex((byte, i) => byte !== text[i]);
              return { id, distance: naiveDistance(text, token), prefix: common === -1 ? token.length : common };
            })
            .sort((x, y) => x.distance - y.distance || y.prefix - x.prefix || x.id - y.id);
          expect(createNearest(vocabulary)(text)).toBe(ranked[0]!.id);
        },
      ),
    );
  });

  test("of a vocabulary without bytes is no place", () => {
    expect(createNearest(readVocabulary(toyTokenizer(["<end>", null]), 3))(Uint8Array.of(65))).toBe(-1);
  });
});

describe("every strategy", () => {
  test.each(STRATEGIES.map(({ name }) => name))("%s divides all of a mass or none of it", async (name) => {
    for (const row of await places(name, [
      [0, 2, 6],
      [0, 3, 1],
      [2, 5, 3],
    ])) {
      const total = row.reduce((sum, [, share]) => sum + share, 0);
      expect([0, 1]).toContain(total);
      expect(new Set(row.map(([id]) => id)).size).toBe(row.length);
    }
  });

  test("has a name of its own, a summary and a source", () => {
    expect(STRATEGIES.map(({ name }) => name)).toEqual(["split", "mapping-statistics", "exact", "prefix", "min-edit"]);
    for (const { summary, source } of STRATEGIES) expect(Math.min(summary.length, source.length)).toBeGreaterThan(5);
    expect(findStrategy(DEFAULT_STRATEGY).needsCounts).toBe(true);
  });

  test("is found by name, and a misspelt one suggested", () => {
    expect(() => findStrategy("prefx")).toThrow('align: unknown vocabulary strategy "prefx"; did you mean "prefix"?');
    expect(() => findStrategy("magic")).toThrow(
      'unknown vocabulary strategy "magic"; there is split, mapping-statistics, exact, prefix, min-edit',
    );
  });
});
