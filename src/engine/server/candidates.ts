/**
 * What a server says of one label: the most probable tokens, in any order, perhaps with the label as one more. They
 * become the row that engines give (most probable first, ties by the lower id) or are refused; nothing is filled in.
 */

/** Most by which a row's probabilities may exceed one: what readers of shards allow, for servers round as well. */
const LARGEST_MASS = 1.01;
/** Rounding puts some certain tokens a little above 0. */
const LARGEST_LOGP = 1e-3;
/** By how much two statements on one label may differ. */
const SAME_LOGP = 1e-2;
/** Servers whose JSON has no infinities send this for a probability of 0 (vLLM). */
const NEVER = -9999;

/** What is wrong with a row. */
export class RowProblem extends Error {
  constructor(message: string) {
    super(message);
    this.name = "RowProblem";
  }
}

/** Rows of one sequence, views into the arrays of a call. */
export interface RowViews {
  /** [R] */
  readonly labelLogp: Float32Array;
  /** [R, K] */
  readonly topId: Int32Array;
  /** [R, K] */
  readonly topLogp: Float32Array;
}

/** The candidates of one row at a time; its memory serves for all. */
export interface Candidates {
  clear(): void;
  add(id: number, logp: number): void;
  /**
   * Writes row `row`. `label` is the label's id; `labelLogp` its log-probability where the server tells it apart from the
   * candidates, NaN where it is one of them. Throws a `RowProblem`.
   */
  settle(row: number, label: number, labelLogp: number, views: RowViews): void;
}

export function openCandidates(topK: number, vocabulary: number): Candidates {
  // One more for the label, and one to see that there are too many.
  const ids = new Int32Array(topK + 2);
  const logps = new Float64Array(topK + 2);
  let count = 0;
  /** By id, the row that named it last. */
  const namedIn = new Uint32Array(vocabulary);
  let rows = 1;

  /** Places it where it belongs: they come sorted, or nearly so. */
  const add = (id: number, said: number): void => {
    const logp = checkedLogp(said, id);
    if (!Number.isInteger(id) || id < 0 || id >= vocabulary) {
      throw new RowProblem(`names the token ${id}, but the vocabulary ends at ${vocabulary - 1}`);
    }
    if (count > topK) throw new RowProblem(`expected ${topK} candidates and the label at most, found more`);
    if (namedIn[id] === rows) throw new RowProblem(`names the token ${id} twice`);
    namedIn[id] = rows;
    let place = count;
    while (place > 0 && comesAfter(logps[place - 1]!, ids[place - 1]!, logp, id)) {
      ids[place] = ids[place - 1]!;
      logps[place] = logps[place - 1]!;
      place--;
    }
    ids[place] = id;
    logps[place] = logp;
    count++;
  };

  return {
    clear: () => {
      count = 0;
      rows++;
    },
    add,
    settle: (row, label, told, { labelLogp, topId, topLogp }) => {
      if (count < topK) throw new RowProblem(`has ${count} candidates, ${topK} were asked for`);
      const place = indexOf(ids, count, label);
      const apart = Number.isNaN(told) ? null : checkedLogp(told, label);
      if (place < 0 && apart === null) throw new RowProblem(`has no probability for its label, the token ${label}`);
      const logp = apart ?? logps[place]!;
      if (logp === -Infinity) throw new RowProblem(`gives its label, the token ${label}, the probability 0`);
      if (place >= 0 && Math.abs(logps[place]! - logp) > SAME_LOGP) {
        throw new RowProblem(`gives its label, the token ${label}, two log-probabilities, ${logp} and ${logps[place]}`);
      }
      if (place < 0 && logp > logps[topK - 1]! + SAME_LOGP) {
        throw new RowProblem(`leaves its label, the token ${label}, out of the most probable, where it belongs`);
      }
      let mass = 0;
      for (let k = 0; k < topK; k++) {
        mass += Math.exp(logps[k]!);
        topId[row * topK + k] = ids[k]!;
        topLogp[row * topK + k] = logps[k]!;
      }
      if (mass > LARGEST_MASS)
        throw new RowProblem(`has probabilities that add up to ${mass.toFixed(3)}, more than one`);
      labelLogp[row] = logp;
    },
  };
}

function checkedLogp(said: number, id: number): number {
  if (!(said <= LARGEST_LOGP)) {
    throw new RowProblem(`has the log-probability ${said} for the token ${id}, expected a number of at most 0`);
  }
  return said <= NEVER ? -Infinity : Math.min(0, said);
}

function comesAfter(logp: number, id: number, otherLogp: number, otherId: number): boolean {
  return logp < otherLogp || (logp === otherLogp && id > otherId);
}

function indexOf(ids: Int32Array, count: number, id: number): number {
  for (let k = 0; k < count; k++) if (ids[k] === id) return k;
  return -1;
}
