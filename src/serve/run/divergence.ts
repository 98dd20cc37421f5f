/**
 * How far two distributions are apart of which the most probable tokens are stored: Jensen and Shannon's divergence (Lin,
 * "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory 1991), in bits: 0 where they are
 * equal, 1 where they have nothing in common. A token that one of the two does not store has no probability there, and what
 * is not stored is one more token, "all others": so two long tails count as alike.
 */
export interface StoredRow {
  readonly ids: ArrayLike<number>;
  /** Nats, descending; -Infinity in unused places. */
  readonly logprobs: ArrayLike<number>;
}

export function divergenceBits(p: StoredRow, q: StoredRow): number {
  const other = massesOf(q);
  let sum = 0;
  let restOfP = 1;
  let restOfQ = 1;
  for (const [id, mass] of massesOf(p)) {
    const there = other.get(id) ?? 0;
    sum += part(mass, there);
    restOfP -= mass;
    restOfQ -= there;
    other.delete(id);
  }
  for (const mass of other.values()) {
    sum += part(0, mass);
    restOfQ -= mass;
  }
  // Stored probabilities are rounded, and may add up to a little more than one.
  sum += part(Math.max(0, restOfP), Math.max(0, restOfQ));
  return Math.min(1, Math.max(0, sum));
}

function massesOf({ ids, logprobs }: StoredRow): Map<number, number> {
  const masses = new Map<number, number>();
  for (let place = 0; place < ids.length; place++) {
    const mass = Math.exp(logprobs[place]!);
    if (mass > 0) masses.set(ids[place]!, mass);
  }
  return masses;
}

/** What one token adds. */
function part(p: number, q: number): number {
  const mean = (p + q) / 2;
  return (p > 0 ? (p / 2) * Math.log2(p / mean) : 0) + (q > 0 ? (q / 2) * Math.log2(q / mean) : 0);
}
