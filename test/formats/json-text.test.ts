import { expect, test } from "vitest";
import { duplicateKey } from "#src/formats/json-text.js";

test("a name is a duplicate only within its own object", () => {
  expect(duplicateKey('{"a": {"a": ["a", "a"]}, "b": {"a": "b"}}')).toBeUndefined();
  expect(duplicateKey('[{"a": 1}, {"a": 1, "b": {}, "a" : 2}]')).toEqual({ key: "a", position: 29 });
  expect(duplicateKey('{"\\"{": 1, "\\u0022{": 2}')).toEqual({ key: '"{', position: 11 });
});
