/**
 * What the pivot itself expects at a row, as a help for dividing the mass of a source token: a source that says `2`
 * says nothing about whether the pivot goes on with `2`, `20` or `2024`, and the pivot, having read the same text, does.
 * A place p of source token s has the weight
 *
 *   P_pivot(p) + f C[s, p] / sum_p' C[s, p'],   f = a tenth of the pivot's mass beyond its stored tokens,
 *
 * so that the counts decide where the pivot has no opinion. Each source token keeps its mass: the result is the
 * distribution nearest to the pivot's that agrees with the source on what the source speaks of (Jeffrey's rule; Jeffrey,
 * "The Logic of Decision", 1965).
 */

import type { DistributionsShard } from "../distributions/shard.ts";
import { massTable } from "../distributions/shard-columns.ts";
import { inputError, suggestion } from "../errors.ts";

/** How the mass of a source token with several places is divided. */
export type Division = "counts" | "pivot";

export const DIVISIONS: readonly Division[] = ["counts", "pivot"];
export const DEFAULT_DIVISION: Division = "counts";

/** Share of the pivot's mass beyond its stored tokens that backs the counts, and the least of that. */
const TAIL_SHARE = 0.1;
const LEAST_FLOOR = 1e-3;

export interface Preference {
  /** [pivot vocabulary] the pivot's stored probabilities at the present row, else 0. */
  readonly mass: Float64Array;
  /** f. */
  readonly floor: number;
}

export interface PreferenceReader extends Preference {
  /** Turns to a row of the pivot's. */
  read(shard: DistributionsShard, row: number): void;
}

export function createPreference(pivotVocabulary: number): PreferenceReader {
  const masses = massTable();
  const mass = new Float64Array(pivotVocabulary);
  let present = new Int32Array(0);
  let floor = LEAST_FLOOR;
  /** The row that was turned to and not yet looked at: most rows have nothing to divide. */
  let shard: DistributionsShard | null = null;
  let row = 0;
  const load = (): void => {
    const { topId, topLogp, metadata } = shard!;
    const { topK } = metadata;
    for (let k = 0; k < present.length; k++) mass[present[k]!] = 0;
    if (present.length !== topK) present = new Int32Array(topK);
    let tail = 1;
    for (let k = 0; k < topK; k++) {
      const id = topId[row * topK + k]!;
      const stored = masses[topLogp[row * topK + k]! & 0x7fff]!;
      present[k] = id;
      // Unused places have id 0 and no mass.
      if (stored > 0) mass[id] = stored;
      tail -= stored;
    }
    floor = Math.max(TAIL_SHARE * tail, LEAST_FLOOR);
    shard = null;
  };
  return {
    get mass() {
      if (shard !== null) load();
      return mass;
    },
    get floor() {
      if (shard !== null) load();
      return floor;
    },
    read: (from, at) => {
      shard = from;
      row = at;
    },
  };
}

/** The division of this name. */
export function findDivision(name: string): Division {
  const found = DIVISIONS.find((one) => one === name);
  if (found !== undefined) return found;
  const hint = suggestion(name, DIVISIONS) || `; expected ${DIVISIONS.join(", ")}`;
  throw inputError("align", `unknown division "${name}"${hint}`);
}
