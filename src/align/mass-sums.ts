/**
 * Sums of stored masses that do not depend on the order of their terms, so that several threads may add them up, and
 * shards may be cut anywhere: floating-point addition is exact as long as no digit is lost. Every mass is a sum of two
 * numbers with few digits, one a multiple of 2^-20, the other, of at most 2^-21, a multiple of 2^-52. Sums of the first
 * are exact up to 2^33, those of the second for the roundings of some 10^12 masses, that do not all point one way.
 */
import { massTable } from "../distributions/shard-columns.ts";

const HIGH_UNIT = 2 ** -20;
const LOW_UNIT = 2 ** -52;

/** [2n] n sums, each the sum of its two parts, which lie side by side: few masses meet on one sum in a row. */
export type MassSums = Float64Array;

export function createMassSums(length: number): MassSums {
  return new Float64Array(2 * length);
}

/** Adds to sum `index` the mass of a stored log-probability, given by the lower 15 bits of its float16 pattern. */
export function addMass(sums: MassSums, index: number, bits: number): void {
  const parts = massParts();
  sums[2 * index]! += parts[2 * bits]!;
  sums[2 * index + 1]! += parts[2 * bits + 1]!;
}

/** Adds sum `from` of other sums to sum `index`. */
export function addSum(sums: MassSums, index: number, others: MassSums, from: number): void {
  sums[2 * index]! += others[2 * from]!;
  sums[2 * index + 1]! += others[2 * from + 1]!;
}

/** Adds all sums of `from`, which may be shorter. */
export function addSums(into: MassSums, from: MassSums): void {
  for (let i = 0; i < from.length; i++) into[i]! += from[i]!;
}

/** The same sums with room for at least `length`, the new ones zero. */
export function grownSums(sums: MassSums, length: number): MassSums {
  if (2 * length <= sums.length) return sums;
  const result = createMassSums(Math.max(length, sums.length));
  addSums(result, sums);
  return result;
}

/** [n] what the sums come to. */
export function sumsOf(sums: MassSums): Float64Array {
  return Float64Array.from({ length: sums.length / 2 }, (_, index) => sums[2 * index]! + sums[2 * index + 1]!);
}

let table: MassSums | undefined;

/** [2 * 32768] the two parts of the mass of every pattern; what is above zero stays so. */
export function massParts(): MassSums {
  if (table === undefined) {
    const masses = massTable();
    table = createMassSums(masses.length);
    for (let bits = 0; bits < masses.length; bits++) {
      const mass = masses[bits]!;
      const high = Math.round(mass / HIGH_UNIT) * HIGH_UNIT;
      const low = Math.round((mass - high) / LOW_UNIT) * LOW_UNIT;
      table[2 * bits] = high;
      table[2 * bits + 1] = mass > 0 && high + low === 0 ? LOW_UNIT : low;
    }
  }
  return table;
}
