import fc from "fast-check";
import { expect, test } from "vitest";
import { clustersOf, nfc, normaliseStretches } from "#src/tokenizer/nfc-clusters.js";

test("clusters begin at characters that cannot join what precedes them", () => {
  expect(clustersOf("xe\u0301\u0323y")).toEqual(["x", "e\u0301\u0323", "y"]);
  // Hangul: leading consonant, vowel and final consonant compose.
  expect(clustersOf("\u1100\u1161\u11a8\u1100")).toEqual(["\u1100\u1161\u11a8", "\u1100"]);
  // A vowel sign of class 0 that is the second half of a composition.
  expect(clustersOf("\u09c7\u09be")).toEqual(["\u09c7\u09be"]);
  // U+0344 decomposes into two marks.
  expect(clustersOf("a\u0344")).toEqual(["a\u0344"]);
  expect(clustersOf("")).toEqual([]);
});

test("normalising cluster by cluster is normalising the whole", () => {
  const marks = fc.constantFrom(
    "e",
    "\u0301",
    "\u0323",
    "\u0334",
    "\u0344",
    "\u1100",
    "\u1161",
    "\u11a8",
    "가",
    "\u09c7",
    "\u09be",
    "\u{1d15e}",
    "\u2126",
    "\u{113c2}",
  );
  fc.assert(
    fc.property(fc.array(marks, { maxLength: 8 }), (characters) => {
      const text = characters.join("");
      expect(clustersOf(text).map(nfc).join("")).toBe(nfc(text));
    }),
    { numRuns: 500, seed: 11 },
  );
});

test("offsets inside a changed cluster move to its end, others stay byte by byte", () => {
  const { bytes, origin } = normaliseStretches([
    { text: "ab", verbatim: false },
    { text: "<e\u0301>", verbatim: true },
    { text: "e\u0301é", verbatim: false },
  ]);
  expect(bytes.toString()).toBe(Buffer.from("ab<e\u0301>éé").toString());
  expect([...origin]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 10, 10, 11, 12]);
});
