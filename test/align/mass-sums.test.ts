import fc from "fast-check";
import { expect, test } from "vitest";
import { addMass, addSums, createMassSums, grownSums, sumsOf } from "#src/align/mass-sums.js";
import { massTable } from "#src/distributions/shard-columns.js";

const patterns = fc.array(fc.nat(0x7c00), { maxLength: 200 });

test("sums are those of float64 to its last digits, in whatever order and grouping the masses come", () => {
  fc.assert(
    fc.property(patterns, fc.nat(200), (bits, cut) => {
      const one = createMassSums(1);
      for (const pattern of bits) addMass(one, 0, pattern);
      const [first, second] = [createMassSums(1), createMassSums(1)];
      for (const pattern of bits.slice(cut).reverse()) addMass(first, 0, pattern);
      for (const pattern of bits.slice(0, cut)) addMass(second, 0, pattern);
      addSums(first, second);
      expect(sumsOf(first)[0]).toBe(sumsOf(one)[0]);
      const masses = massTable();
      // Each mass is rounded by 2^-53 at most, each addition of the reference by a few more.
      expect(sumsOf(one)[0]).toBeCloseTo(
        bits.reduce((sum, pattern) => sum + masses[pattern]!, 0),
        12,
      );
    }),
  );
});

test("a mass above zero stays so, and no mass adds nothing", () => {
  const sums = createMassSums(2);
  addMass(sums, 0, 0x6000);
  addMass(sums, 1, 0x7c00);
  expect([sumsOf(sums)[0]! > 0, sumsOf(sums)[1]]).toEqual([true, 0]);
});

test("grow keeping what they have", () => {
  const sums = createMassSums(2);
  addMass(sums, 1, 0);
  expect(grownSums(sums, 2)).toBe(sums);
  const grown = grownSums(sums, 3);
  expect(Array.from(sumsOf(grown))).toEqual([0, 1, 0, 0]);
});
