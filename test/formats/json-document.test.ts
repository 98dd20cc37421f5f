import fc from "fast-check";
import { expect, test } from "vitest";
import { type JsonObject, parseJsonDocument, plainJson, printJson } from "#src/formats/json-document.js";
import { createRandom } from "#src/random.js";

function parse(text: string) {
  const parsed = parseJsonDocument(text);
  if ("errorAt" in parsed) throw new Error(`no JSON at ${parsed.errorAt}`);
  return parsed.value;
}

function errorAt(text: string): number | undefined {
  const parsed = parseJsonDocument(text);
  return "errorAt" in parsed ? parsed.errorAt : undefined;
}

test("numbers and the order of names come out as they went in", () => {
  const text = [
    "{",
    '  "whole": 30.0,',
    '  "small": 1e-05,',
    '  "large": 9007199254740993,',
    '  "list": [',
    "    0.0,",
    "    Infinity,",
    "    -Infinity,",
    "    NaN,",
    "    -0",
    "  ],",
    '  "10": {},',
    '  "2": [],',
    '  "__proto__": "é\\n"',
    "}",
  ].join("\n");
  expect(printJson(parse(text))).toBe(text);
});

test("a changed member changes nothing else", () => {
  const document = parse('{"a": 1.0, "b": [2.50], "c": 3}') as JsonObject;
  expect(printJson(document.set("c", null))).toBe('{\n  "a": 1.0,\n  "b": [\n    2.50\n  ],\n  "c": null\n}');
});

test("values are those of JSON.parse, and the layout is that of JSON.stringify", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const text = JSON.stringify(value);
      expect(plainJson(parse(text))).toEqual(JSON.parse(text));
      expect(printJson(parse(text))).toBe(JSON.stringify(value, null, 2));
    }),
  );
});

test("Python's words are numbers; its other words are none", () => {
  expect(plainJson(parse('{"a": [NaN, Infinity, -Infinity]}'))).toEqual({
    a: [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  });
  expect([errorAt("[nan]"), errorAt("[-NaN]"), errorAt("[True]"), errorAt("[Infinityx]")]).toEqual([1, 1, 1, 1]);
});

test("a hundred thousand lists within each other are read and printed", () => {
  const depth = 100_000;
  const text = "[".repeat(depth) + "]".repeat(depth);
  const value = parse(text);
  expect(printJson(value).length).toBeGreaterThan(2 * depth);
  expect((plainJson(value) as unknown[]).length).toBe(1);
});

test("the position of the first error is found", () => {
  const cases: [string, number][] = [
    ['{"a": x}', 6],
    ['{"a": 1,}', 8],
    ['{"a" 1}', 5],
    ["[1 2]", 3],
    ["[1, 2}", 5],
    ["]", 0],
    ["{} {}", 3],
    ["[01]", 1],
    ['"a\nb"', 0],
    ['"a', 0],
    ['"a\\', 0],
    ['{"a": [1,', 9],
    ["", 0],
    ["nullx", 0],
    ["{1: 2}", 1],
    ["[1,,2]", 3],
  ];
  for (const [text, position] of cases) expect([text, errorAt(text)]).toEqual([text, position]);
});

test("a value cut short is wrong at its end or in its last word, never before", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 3 }), fc.nat(), (text, cut) => {
      const part = text.slice(0, cut % text.length);
      const position = errorAt(part);
      if (position === undefined) {
        JSON.parse(part);
        return;
      }
      expect(position).toBeLessThanOrEqual(part.length);
      // What lies before the position is the beginning of some JSON: it does not matter what follows.
      expect(errorAt(part.slice(0, position))).toBe(part.slice(0, position).trimEnd() === "" ? 0 : position);
    }),
  );
});

test("of short strings of all kinds those are read that the platform reads, and to the same text", () => {
  const random = createRandom("strings");
  const marks = ["a", '"', "\\", "u", "0", "F", "g", "\n", "\u001f", "b", "/", "\u{1f600}", "\ud83d", " ", "\u2028"];
  let valid = 0;
  for (let n = 0; n < 20_000; n++) {
    const inner = Array.from({ length: Math.floor(9 * random.next()) }, () => marks[Math.floor(15 * random.next())]!);
    const text = `"${inner.join("")}"`;
    let expected: unknown;
    try {
      expected = JSON.parse(text);
      valid += 1;
    } catch {
      expected = undefined;
    }
    const document = parseJsonDocument(text);
    expect("value" in document ? plainJson(document.value) : undefined, text).toBe(expected);
  }
  expect(valid).toBeGreaterThan(1000);
});
