/**
 * Sums of stored masses that do not depend on the order of their terms, so that several threads may add them up, and
 * shards may be cut anywhere: floating-point addition is exact as long as no digit is lost. Every mass is a sum of two
 * numbers with few digits, one a multiple of 2^-20, the other, of at most 2^-21, a multiple of 2^-52. Sums of the first
 * are exact up to 2^33, those of the second for the roundings of some 10^12 masses, that do not all point one way.
 */
import { massTable } from "../distributions/shard-columns.ts";

const HIGH_UNIT = 2 ** -20;
const LOW_UNIT = 2 ** -52;

/** n sums, each the sum of its two parts. */
export interface MassSums {
  readonly high: Float64Array;
  readonly low: Float64Array;
}

export function createMassSums(length: number): MassSums {
  return { high: new Float64Array(length), low: new Float64Array(length) };
}

/** Adds to sum `index` the mass of a stored log-probability, given by the lower 15 bits of its float16 pattern. */
export function addMass({ high, low }: MassSums, index: number, bits: number): void {
  const table = parts();
  high[index]! += table.high[bits]!;
  low[index]! += table.low[bits]!;
}

/** Adds all sums of `from`, which may be shorter. */
export function addSums(into: MassSums, from: MassSums): void {
  for (let i = 0; i < from.high.length; i++) {
    into.high[i]! += from.high[i]!;
    into.low[i]! += from.low[i]!;
  }
}

/** The same sums with room for at least `length`, the new ones zero. */
export function grownSums(sums: MassSums, length: number): MassSums {
  if (length <= sums.high.length) return sums;
  const result = createMassSums(Math.max(length, 2 * sums.high.length));
  addSums(result, sums);
  return result;
}

/** [n] what the sums come to. */
export function sumsOf({ high, low }: MassSums): Float64Array {
  return high.map((value, i) => value + low[i]!);
}

let table: MassSums | undefined;

/** The two parts of the mass of every pattern; what is above zero stays so. */
function parts(): MassSums {
  if (table === undefined) {
    const masses = massTable();
    const high = masses.map((mass) => Math.round(mass / HIGH_UNIT) * HIGH_UNIT);
    const low = masses.map((mass, bits) => {
      const rest = Math.round((mass - high[bits]!) / LOW_UNIT) * LOW_UNIT;
      return mass > 0 && high[bits]! + rest === 0 ? LOW_UNIT : rest;
    });
    table = { high, low };
  }
  return table;
}
