import { expect, test } from "vitest";
import { readVocabulary } from "#src/align/vocabulary.js";
import { toyTokenizer } from "./toy-tokenizer.ts";

test("a vocabulary tells bytes and finds them again, beyond the tokenizer's own ids nothing", () => {
  const tokens = [Uint8Array.of(0x61), "<end>", "a", "a", null, "ä"];
  const vocabulary = readVocabulary(toyTokenizer(tokens), 8);
  expect(Array.from(vocabulary.byteLength)).toEqual([1, -1, 1, 1, -1, 2, -1, -1]);
  expect(Array.from(vocabulary.special)).toEqual([0, 1, 0, 0, 0, 0, 0, 0]);
  expect(Array.from(vocabulary.bytes(5))).toEqual([0xc3, 0xa4]);
  expect(vocabulary.bytes(1)).toHaveLength(0);
  // The ordinary piece of the lowest id comes before the byte piece of a lower one.
  expect(vocabulary.find(Uint8Array.of(0x61))).toBe(2);
  expect(vocabulary.find(Uint8Array.of(0xc3))).toBe(-1);
  expect(vocabulary.find(new Uint8Array(0))).toBe(-1);
});

test("ids beyond a head narrower than the tokenizer are not found", () => {
  const vocabulary = readVocabulary(toyTokenizer(["a", "b"]), 1);
  expect(vocabulary.find(Uint8Array.of(0x61))).toBe(0);
  expect(vocabulary.find(Uint8Array.of(0x62))).toBe(-1);
});
