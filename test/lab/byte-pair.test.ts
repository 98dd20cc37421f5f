import { expect, test } from "vitest";
import { countWords, learnMerges, mergeSymbols } from "#src/lab/byte-pair.js";

const spell = (word: string): string[] => [...word];

test("the most frequent pair is merged first, and merges build on merges", () => {
  const words = countWords(["low low low lower newest newest"], /[a-z]+/g, spell);
  // lo 4, ow 4 (tie: "l" before "o"), then low 4, then ne, ew, we, es, st 2 each.
  expect(learnMerges(words, 3)).toEqual([
    ["l", "o"],
    ["lo", "w"],
    ["e", "s"],
  ]);
});

test("pairs seen once are never merged, so the list may be shorter than asked", () => {
  expect(learnMerges(countWords(["abc"], /[a-z]+/g, spell), 5)).toEqual([]);
});

test("overlapping occurrences are merged from the left", () => {
  expect(mergeSymbols(["a", "a", "a"], ["a", "a"])).toEqual(["aa", "a"]);
});
