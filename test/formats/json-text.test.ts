import fc from "fast-check";
import { expect, test } from "vitest";
import { duplicateKey, jsonErrorPosition } from "#src/formats/json-text.js";

test("the position of the first error is found where the parser names none", () => {
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
    ['{"a": [1,', 9],
    ["", 0],
    ["nullx", 0],
    ["{1: 2}", 1],
    ["[1,,2]", 3],
  ];
  for (const [text, position] of cases) expect([text, jsonErrorPosition(text)]).toEqual([text, position]);
});

test("a value cut short is wrong at its end or in its last word, never before", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 3 }), fc.nat(), (text, cut) => {
      const part = text.slice(0, cut % text.length);
      try {
        JSON.parse(part);
      } catch {
        const position = jsonErrorPosition(part);
        expect(position).toBeLessThanOrEqual(part.length);
        // What lies before the position is the beginning of some JSON: it does not matter what follows.
        expect(jsonErrorPosition(part.slice(0, position))).toBe(
          part.slice(0, position).trimEnd() === "" ? 0 : position,
        );
      }
    }),
  );
});

test("a name is a duplicate only within its own object", () => {
  expect(duplicateKey('{"a": {"a": ["a", "a"]}, "b": {"a": "b"}}')).toBeUndefined();
  expect(duplicateKey('[{"a": 1}, {"a": 1, "b": {}, "a" : 2}]')).toEqual({ key: "a", position: 29 });
  expect(duplicateKey('{"\\"{": 1, "\\u0022{": 2}')).toEqual({ key: '"{', position: 11 });
});
