import { expect, test } from "vitest";
import { FusechatError, inputErrors, nearest } from "#src/errors.js";
import { excerptOf } from "#src/excerpt.js";

test("a value is shown as JSON spells it", () => {
  expect(excerptOf({ a: [1, "b", null, true], c: {} })).toBe('{"a":[1,"b",null,true],"c":{}}');
  expect(excerptOf(undefined)).toBe("nothing");
  expect(excerptOf({ toString: 1 })).toBe('{"toString":1}');
});

test("a value of any size and depth is shown in a part of a line", () => {
  const deep = JSON.parse("[".repeat(20_000) + "]".repeat(20_000));
  expect(excerptOf(deep)).toBe("[[[[[…]]]]]");
  expect(excerptOf("x".repeat(1 << 24))).toHaveLength(80);
  expect(excerptOf(Array.from({ length: 1 << 20 }, () => "x")).length).toBe(80);
});

test("twenty problems are told, and how many more there are", () => {
  const { message } = inputErrors(Array.from({ length: 25 }, (_, index) => `line ${index}`));
  expect(message.split("\n").slice(-2)).toEqual(["line 19", "and 5 more problems"]);
});

test("a long line of a message keeps its beginning and its end", () => {
  const { message } = new FusechatError("input", `file.json: found "${"x".repeat(1e6)}"; remove it`);
  expect(message).toHaveLength(1003);
  expect(message.startsWith('file.json: found "xxx')).toBe(true);
  expect(message.endsWith('xxx"; remove it')).toBe(true);
});

test("nothing is suggested for a word of a megabyte", () => {
  expect(nearest("x".repeat(1e6), ["weight"])).toBeUndefined();
});
