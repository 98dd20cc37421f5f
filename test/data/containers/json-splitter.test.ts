import fc from "fast-check";
import { expect, test } from "vitest";
import { JsonSplitter } from "#src/data/containers/json-splitter.js";

/** The values at a depth, the text cut into chunks at the given places. */
function split(text: string, depth: number, chunkBytes: number): unknown[] {
  const splitter = new JsonSplitter(depth, 1 << 20);
  const bytes = Buffer.from(text);
  const values = [];
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    values.push(...splitter.split(bytes.subarray(start, start + chunkBytes)));
  }
  return [...values, ...splitter.finish()].map((value) => JSON.parse(Buffer.from(value.bytes!).toString("utf8")));
}

test("an array is its items, however it is written and wherever it is cut", () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), fc.integer({ min: 1, max: 9 }), fc.nat(4), (items, chunk, indent) => {
      expect(split(JSON.stringify(items, null, indent), 1, chunk)).toEqual(JSON.parse(JSON.stringify(items)));
    }),
  );
});

test("values of a text are its values", () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), fc.integer({ min: 1, max: 9 }), (values, chunk) => {
      const text = values.map((value) => JSON.stringify(value)).join("\n");
      expect(split(text, 0, chunk)).toEqual(JSON.parse(JSON.stringify(values)));
    }),
  );
});

test.each(["[1 2]", "[,1]", "[1,]", "[1", '["a', "[1}", '{"a" 1}', '{"a":1,}', "{1:2}", '{"a":1', "]"])(
  "%s is no JSON",
  (text) => {
    for (const chunk of [1, 100]) expect(() => split(text, 2, chunk)).toThrow(/expected JSON, found/);
  },
);
