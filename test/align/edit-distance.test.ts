import fc from "fast-check";
import { expect, test } from "vitest";
import { createEditDistance } from "#src/align/edit-distance.js";
import { naiveDistance } from "./naive-distance.ts";

test("is that of the plain matrix, for strings on both sides of a machine word", () => {
  const { from, to } = createEditDistance();
  // Few different bytes, so that much is in common; 31 to 33 are the edges of a word.
  const bytes = fc
    .oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 30, max: 34 }), fc.integer({ min: 60, max: 70 }))
    .chain((length) => fc.uint8Array({ minLength: length, maxLength: length, max: 3 }));
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      from(a);
      // The text lies within other bytes, as tokens do in a vocabulary.
      const text = Uint8Array.of(1, ...b, 2);
      expect(to(text, 1, text.length - 1, Infinity)).toBe(naiveDistance(a, b));
    }),
    { numRuns: 1000 },
  );
});

test("with a limit is exact up to it, and above it where the distance is", () => {
  const { from, to } = createEditDistance();
  const bytes = fc.uint8Array({ maxLength: 40, max: 2 });
  fc.assert(
    fc.property(bytes, bytes, fc.integer({ min: 0, max: 20 }), (a, b, limit) => {
      from(a);
      const distance = naiveDistance(a, b);
      const found = to(b, 0, b.length, limit);
      if (distance <= limit) expect(found).toBe(distance);
      else expect(found).toBeGreaterThan(limit);
    }),
  );
});

test("remembers nothing of the pattern before", () => {
  const { from, to } = createEditDistance();
  const text = new TextEncoder().encode("kitten");
  from(new TextEncoder().encode("sitting"));
  expect(to(text, 0, 6, Infinity)).toBe(3);
  from(new TextEncoder().encode("mitten"));
  expect(to(text, 0, 6, Infinity)).toBe(1);
});
