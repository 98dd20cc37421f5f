import fc from "fast-check";
import { expect, test } from "vitest";
import { indexBytes } from "#src/align/byte-index.js";

function index(strings: readonly Uint8Array[], rank: (n: number) => number = () => 0) {
  const start = new Int32Array(strings.length + 1);
  strings.forEach((bytes, n) => {
    start[n + 1] = start[n]! + bytes.length;
  });
  return indexBytes(Uint8Array.from(strings.flatMap((bytes) => [...bytes])), start, rank);
}

test("finds every string by its bytes, the first of equal ones, and no other", () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 3, max: 3 });
  fc.assert(
    fc.property(fc.array(bytes), fc.array(bytes), (strings, others) => {
      const find = index(strings);
      const key = (one: Uint8Array): string => one.join();
      const keys = strings.map(key);
      for (const one of [...strings, ...others]) expect(find(one)).toBe(keys.indexOf(key(one)));
    }),
  );
});

test("prefers the lowest rank among equal strings, and finds nothing for no bytes", () => {
  const [a, b] = [Uint8Array.of(0, 255), Uint8Array.of(0)];
  const find = index([a, new Uint8Array(0), a, b, a], (n) => [2, 0, 1, 0, 1][n]!);
  expect([find(a), find(b), find(new Uint8Array(0))]).toEqual([2, 3, -1]);
  expect(index([])(a)).toBe(-1);
});
