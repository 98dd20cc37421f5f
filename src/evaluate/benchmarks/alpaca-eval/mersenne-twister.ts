/**
 * MT19937 (Matsumoto and Nishimura, ACM TOMACS 1998), for one purpose: liblinear visits coefficients in an order that
 * it draws with this generator, and where it stops early its answer depends on that order. Chance of our own comes from
 * createRandom.
 */
const STATE = 624;
const SHIFT = 397;

/** 32-bit words from a 32-bit seed, as std::mt19937 gives them. */
function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(STATE);
  state[0] = seed;
  for (let i = 1; i < STATE; i++) {
    const before = state[i - 1]!;
    state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
  }
  let next = STATE;
  return () => {
    if (next === STATE) {
      for (let i = 0; i < STATE; i++) {
        const joined = (state[i]! & 0x80000000) | (state[(i + 1) % STATE]! & 0x7fffffff);
        state[i] = state[(i + SHIFT) % STATE]! ^ (joined >>> 1) ^ ((joined & 1) === 1 ? 0x9908b0df : 0);
      }
      next = 0;
    }
    let word = state[next++]!;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  };
}

/** Integers in [0, bound), `bound` below 2^21: the upper half of a word times the bound, without bias (Lemire 2019). */
export function mersenneIntegers(seed: number): (bound: number) => number {
  const word = mersenneTwister(seed);
  return (bound) => {
    for (;;) {
      const product = word() * bound;
      if (product % 4294967296 >= 4294967296 % bound) return Math.floor(product / 4294967296);
    }
  };
}
