/**
 * The transfer of a source row's distribution to the pivot's vocabulary: every stored mass goes to its places, masses
 * that meet on one id add up (in float64), the `width` largest are kept, and the rest is the tail. Nothing is
 * renormalised. One row costs K places and a short insertion sort, without any allocation.
 */
import { massTable } from "../distributions/shard-columns.ts";
import { halfToNumber } from "../formats/float.ts";
import { negativeHalf } from "./negative-half.ts";
import type { SparseMap } from "./sparse-map.ts";

const MINUS_INFINITY = 0xfc00;

/** Sums over all rows so far, in units of probability. */
export interface TransferTotals {
  /** What the source's rows hold. */
  stored: number;
  /** What found a place. */
  placed: number;
  /** What found a place and was cut off by the width. */
  cut: number;
  /** Rows of which nothing found a place. */
  emptyRows: number;
}

export interface Transfer {
  readonly totals: TransferTotals;
  /**
   * Maps the `count` entries from `at` of `indices` (sources of the map; -1 has no place) and `logp` (float16 patterns,
   * descending) and writes `width` ids and float16 log-probabilities from `outAt` on, descending, ties to the lower
   * id; unused places have id 0 and -infinity.
   */
  row(
    indices: Uint16Array | Uint32Array | Int32Array,
    logp: Uint16Array,
    at: number,
    logpAt: number,
    count: number,
    outId: Uint16Array | Uint32Array,
    outLogp: Uint16Array,
    outAt: number,
  ): void;
}

export function createTransfer(map: SparseMap, pivotVocabulary: number, width: number): Transfer {
  const { start, pivot, share } = map;
  const logShare = Float64Array.from(share, Math.log);
  const masses = massTable();
  const logs = logTable();
  const totals: TransferTotals = { stored: 0, placed: 0, cut: 0, emptyRows: 0 };
  /** [pivot vocabulary] the row's masses, and their logarithms while only one source token has given: 1 afterwards. */
  const massOf = new Float64Array(pivotVocabulary);
  const logOf = new Float64Array(pivotVocabulary);
  const touched = new Int32Array(pivotVocabulary);
  const keptId = new Int32Array(width);
  const keptMass = new Float64Array(width);

  return {
    totals,
    row: (indices, logp, at, logpAt, count, outId, outLogp, outAt) => {
      let reached = 0;
      let stored = 0;
      for (let k = 0; k < count; k++) {
        const bits = logp[logpAt + k]! & 0x7fff;
        const mass = masses[bits]!;
        if (mass === 0) break;
        stored += mass;
        const source = indices[at + k]!;
        if (source < 0) continue;
        for (let e = start[source]!; e < start[source + 1]!; e++) {
          const id = pivot[e]!;
          const before = massOf[id]!;
          if (before === 0) {
            touched[reached++] = id;
            massOf[id] = mass * share[e]!;
            logOf[id] = logs[bits]! + logShare[e]!;
          } else {
            massOf[id] = before + mass * share[e]!;
            logOf[id] = 1;
          }
        }
      }

      let kept = 0;
      let placed = 0;
      let cut = 0;
      for (let t = 0; t < reached; t++) {
        const id = touched[t]!;
        const mass = massOf[id]!;
        massOf[id] = 0;
        placed += mass;
        let place = kept;
        if (kept === width) {
          place = width - 1;
          const last = keptMass[place]!;
          if (mass < last || (mass === last && id > keptId[place]!)) {
            cut += mass;
            continue;
          }
          cut += last;
        } else {
          kept++;
        }
        while (place > 0) {
          const above = keptMass[place - 1]!;
          if (above > mass || (above === mass && keptId[place - 1]! < id)) break;
          keptMass[place] = above;
          keptId[place] = keptId[place - 1]!;
          place--;
        }
        keptMass[place] = mass;
        keptId[place] = id;
      }

      // A sum and a single logarithm may differ in their last bit where the masses are in order: patterns of negative
      // halves grow downwards, so the larger of neighbours keeps the order.
      let before = 0;
      for (let k = 0; k < kept; k++) {
        const id = keptId[k]!;
        const log = logOf[id]!;
        const bits = negativeHalf(log <= 0 ? log : Math.log(keptMass[k]!));
        if (bits > before) before = bits;
        outId[outAt + k] = id;
        outLogp[outAt + k] = before;
      }
      for (let k = kept; k < width; k++) {
        outId[outAt + k] = 0;
        outLogp[outAt + k] = MINUS_INFINITY;
      }
      totals.stored += stored;
      totals.placed += placed;
      totals.cut += cut;
      if (kept === 0) totals.emptyRows++;
    },
  };
}

let logs: Float64Array | undefined;

/** -x of every non-negative float16 pattern x: the stored log-probability by its lower 15 bits. */
function logTable(): Float64Array {
  logs ??= Float64Array.from({ length: 0x8000 }, (_, bits) => -halfToNumber(bits));
  return logs;
}
