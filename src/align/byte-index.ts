/**
 * Which of many byte strings equals a given one: an open-addressed table of their numbers, 8 to 16 bytes a string,
 * where a Map of keys would take a hundred.
 */

/**
 * Indexes the strings `all[start[n]] .. all[start[n + 1] - 1]`; the result finds the number of a string, or -1. Among
 * equal strings the one of the lowest rank is found, then the first. Empty strings are not found.
 */
export function indexBytes(
  all: Uint8Array,
  start: Int32Array,
  rank: (n: number) => number,
): (bytes: Uint8Array) => number {
  const strings = start.length - 1;
  const capacity = 1 << Math.ceil(Math.log2(2 * strings + 2));
  const table = new Int32Array(capacity).fill(-1);

  /** The place of these bytes: theirs, or the free one where they belong. */
  const place = (bytes: Uint8Array, from: number, to: number): number => {
    let at = hash(bytes, from, to) & (capacity - 1);
    while (table[at] !== -1 && !equals(table[at]!, bytes, from, to)) at = (at + 1) & (capacity - 1);
    return at;
  };
  const equals = (n: number, bytes: Uint8Array, from: number, to: number): boolean => {
    const begin = start[n]!;
    if (start[n + 1]! - begin !== to - from) return false;
    for (let i = from; i < to; i++) if (all[begin + i - from] !== bytes[i]) return false;
    return true;
  };

  for (let n = 0; n < strings; n++) {
    if (start[n] === start[n + 1]) continue;
    const at = place(all, start[n]!, start[n + 1]!);
    if (table[at] === -1 || rank(n) < rank(table[at]!)) table[at] = n;
  }
  return (bytes) => (bytes.length === 0 ? -1 : table[place(bytes, 0, bytes.length)]!);
}

/** FNV-1a, 32 bits, its upper half folded onto the lower. */
function hash(bytes: Uint8Array, from: number, to: number): number {
  let value = 0x811c9dc5;
  for (let i = from; i < to; i++) value = Math.imul(value ^ bytes[i]!, 0x01000193);
  return value ^ (value >>> 16);
}
