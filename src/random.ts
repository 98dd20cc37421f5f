/**
 * The project's one source of randomness: xoshiro128** (Blackman and Vigna, "Scrambled linear pseudorandom number
 * generators", ACM TOMS 2021), seeded with the first 16 bytes of the SHA-256 of a text. The text names the purpose
 * ("shuffle/0/epoch 2"), so streams never overlap by accident and a result never depends on who drew first.
 */
import { createHash } from "node:crypto";

export interface Random {
  /** A double in [0, 1) with 53 random bits. */
  next(): number;
  /** An integer in [0, bound), without modulo bias. `bound` is 1 to 2^32. */
  integer(bound: number): number;
  /** Fills an array with integers in [0, 2^32): those that `integer(2 ** 32)` would give, several times as fast. */
  words(into: Uint32Array): void;
  /** A standard normal deviate (Box-Muller, one of the pair). */
  normal(): number;
  /** Fisher-Yates, in place, from the last element down; returns the same array. */
  shuffle<T>(items: T[]): T[];
}

export function createRandom(seed: string): Random {
  const digest = createHash("sha256").update(seed, "utf8").digest();
  const state = new Uint32Array(4);
  for (let i = 0; i < 4; i++) state[i] = digest.readUInt32LE(4 * i);
  if (state.every((word) => word === 0)) state[0] = 1;

  const words = (into: Uint32Array): void => {
    let s0 = state[0]!;
    let s1 = state[1]!;
    let s2 = state[2]!;
    let s3 = state[3]!;
    for (let i = 0; i < into.length; i++) {
      into[i] = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9);
      const shifted = s1 << 9;
      s2 ^= s0;
      s3 ^= s1;
      s1 ^= s2;
      s0 ^= s3;
      s2 ^= shifted;
      s3 = rotateLeft(s3, 11);
    }
    state[0] = s0;
    state[1] = s1;
    state[2] = s2;
    state[3] = s3;
  };
  const one = new Uint32Array(1);
  const word = (): number => {
    words(one);
    return one[0]!;
  };
  const next = (): number => ((word() >>> 5) * 67108864 + (word() >>> 6)) / 9007199254740992;
  const integer = (bound: number): number => {
    const limit = 4294967296 - (4294967296 % bound);
    let value = word();
    while (value >= limit) value = word();
    return value % bound;
  };
  return {
    next,
    integer,
    words,
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    shuffle: (items) => {
      for (let i = items.length - 1; i > 0; i--) {
        const j = integer(i + 1);
        const swapped = items[i]!;
        items[i] = items[j]!;
        items[j] = swapped;
      }
      return items;
    },
  };
}

function rotateLeft(value: number, count: number): number {
  return (value << count) | (value >>> (32 - count));
}
