/**
 * Levenshtein distance of two byte strings: insertions, deletions and substitutions cost one each. A column of the
 * dynamic-programming matrix is held as two bit vectors of vertical differences (+1 and -1) and advanced in a dozen
 * operations (Myers, JACM 1999, in the form of Hyyrö, 2003): tokens of up to 32 bytes cost some 4 ns a byte. Two longer
 * ones, which are rare, take the plain matrix.
 */

const WORD = 32;

export interface EditDistance {
  /** The string that `to` measures from; it is not copied. */
  from(pattern: Uint8Array): void;
  /** Distance to bytes `begin .. end-1` of `text`, or any number above `limit` where the distance is above it. */
  to(text: Uint8Array, begin: number, end: number, limit: number): number;
}

export function createEditDistance(): EditDistance {
  /** [256] for each byte the places where the pattern has it. */
  const places = new Int32Array(256);
  let pattern: Uint8Array = new Uint8Array(0);
  return {
    from: (bytes) => {
      for (const byte of pattern) places[byte] = 0;
      pattern = bytes;
      if (pattern.length > WORD) return;
      for (let i = 0; i < pattern.length; i++) places[pattern[i]!]! |= 1 << i;
    },
    to: (text, begin, end, limit) => {
      if (pattern.length === 0) return end - begin;
      if (pattern.length <= WORD) return columns(places, pattern.length, text, begin, end, limit);
      if (end - begin > WORD) return matrix(pattern, text.subarray(begin, end));
      // The distance is symmetric: the shorter one becomes the pattern.
      const other = new Int32Array(256);
      for (let i = begin; i < end; i++) other[text[i]!]! |= 1 << (i - begin);
      return begin === end ? pattern.length : columns(other, end - begin, pattern, 0, pattern.length, limit);
    },
  };
}

/** `length` is that of the pattern whose places are given, 1 to 32. */
function columns(
  places: Int32Array,
  length: number,
  text: Uint8Array,
  begin: number,
  end: number,
  limit: number,
): number {
  const last = 1 << (length - 1);
  let up = -1;
  let down = 0;
  let score = length;
  // Every byte still to come can lower the last row by one at most.
  let least = length - (end - begin);
  for (let i = begin; i < end; i++) {
    const equal = places[text[i]!]!;
    const vertical = equal | down;
    const diagonal = (((equal & up) + up) ^ up) | equal;
    let right = down | ~(diagonal | up);
    let left = up & diagonal;
    if ((right & last) !== 0) {
      score++;
      least += 2;
      if (least > limit) return least;
    } else if ((left & last) === 0) {
      least++;
      if (least > limit) return least;
    } else {
      score--;
    }
    right = (right << 1) | 1;
    left <<= 1;
    up = left | ~(vertical | right);
    down = right & vertical;
  }
  return score;
}

function matrix(a: Uint8Array, b: Uint8Array): number {
  const row = Int32Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    let diagonal = row[0]!;
    row[0] = i;
    for (let j = 1; j <= b.length; j++) {
      const substituted = diagonal + (a[i - 1] === b[j - 1] ? 0 : 1);
      diagonal = row[j]!;
      row[j] = Math.min(substituted, diagonal + 1, row[j - 1]! + 1);
    }
  }
  return row[b.length]!;
}
