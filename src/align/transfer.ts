/**
 * The transfer of a source row's distribution to the pivot's vocabulary: every stored mass goes to its places, masses
 * that meet on one id add up (in float64), the `width` largest are kept, and the rest is the tail. Nothing is
 * renormalised. Most tokens have one place, found by one look-up, and a mass that nothing was added to keeps its stored
 * pattern: a row of ten takes some 200 ns. Nothing is allocated.
 *
 * What is known of a row besides refines it: the probability of the pivot's label (`label-mass.ts`), and what the pivot
 * itself expects there (`preference.ts`), by which masses are then divided.
 */
import { MINUS_INFINITY, massTable } from "../distributions/shard-columns.ts";
import { halfToNumber } from "../formats/float.ts";
import type { LabelShare } from "./label-mass.ts";
import { negativeHalf } from "./negative-half.ts";
import type { Preference } from "./preference.ts";
import type { SparseMap } from "./sparse-map.ts";

/** In place of the single pivot token of a source: it has none, or several. */
const NOWHERE = -1;
const DIVIDED = -2;
/** In place of the source token that begins a label: nothing is known of the label. */
const UNKNOWN = -3;
/** In place of a slot's float16 pattern: its logarithm is known, or it is a sum and the logarithm must be taken. */
const ROUND = -1;
const SUMMED = -2;

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
   * Maps the tokens `sources` (indices into the map; -1 has no place) with the float16 log-probabilities from
   * `logp[logpAt]` on, descending, and writes `width` ids and log-probabilities from `outAt` on: descending, ties to the
   * lower id; unused places have id 0 and -infinity. A label's share takes the place of what the row has for its
   * source token, if anything; a preference weighs the places of a divided token.
   */
  row(
    sources: Int32Array,
    logp: Uint16Array,
    logpAt: number,
    outId: Uint16Array | Uint32Array,
    outLogp: Uint16Array,
    outAt: number,
    label?: LabelShare | null,
    preference?: Preference | null,
  ): void;
}

export function createTransfer(map: SparseMap, pivotVocabulary: number, width: number): Transfer {
  const { start, pivot, share } = map;
  const single = singlePlaces(map);
  const logShare = Float64Array.from(share, Math.log);
  const masses = massTable();
  const halves = halfTable();
  const totals: TransferTotals = { stored: 0, placed: 0, cut: 0, emptyRows: 0 };
  /** [pivot vocabulary] the row's slot of each pivot token, -1 without one. */
  const slotOf = new Int32Array(pivotVocabulary).fill(-1);
  /** Slots of the row: pivot token, mass, and while only one source token has given, its pattern or its logarithm. */
  const slotId = new Int32Array(pivotVocabulary);
  const slotMass = new Float64Array(pivotVocabulary);
  const slotBits = new Int32Array(pivotVocabulary);
  const slotLog = new Float64Array(pivotVocabulary);
  /** The slots of the largest masses so far. */
  const kept = new Int32Array(width);
  /** Of the places of one source. */
  const weight = new Float64Array(mostPlaces(map));

  /** Adds a mass to a token; `slots` are taken so far, returns how many are then. */
  const give = (id: number, mass: number, slots: number): number => {
    const slot = slotOf[id]!;
    if (slot >= 0) {
      slotMass[slot]! += mass;
      slotBits[slot] = SUMMED;
      return slots;
    }
    slotOf[id] = slots;
    slotId[slots] = id;
    slotMass[slots] = mass;
    slotBits[slots] = SUMMED;
    return slots + 1;
  };
  /** Divides a mass over the places of a source other than `except`; returns the slots taken then, the same without a place. */
  const divide = (
    source: number,
    mass: number,
    except: number,
    preference: Preference | null,
    taken: number,
  ): number => {
    const from = start[source]!;
    const to = start[source + 1]!;
    let total = 0;
    const preferred = preference?.mass ?? null;
    const floor = preference?.floor ?? 0;
    for (let e = from; e < to; e++) {
      const id = pivot[e]!;
      const own = preferred === null ? share[e]! : preferred[id]! + floor * share[e]!;
      weight[e - from] = id === except ? 0 : own;
      total += weight[e - from]!;
    }
    const scale = mass / total;
    let slots = taken;
    for (let e = from; e < to; e++) {
      if (weight[e - from]! > 0) slots = give(pivot[e]!, weight[e - from]! * scale, slots);
    }
    return slots;
  };

  /** The float16 pattern of a slot's logarithm. */
  const patternOf = (slot: number): number => {
    const bits = slotBits[slot]!;
    return bits >= 0 ? bits : negativeHalf(bits === SUMMED ? Math.log(slotMass[slot]!) : slotLog[slot]!);
  };
  /** As the masses are stored in order, most rows are in order from the beginning. */
  const inOrder = (slots: number): boolean => {
    for (let slot = 1; slot < slots; slot++) {
      if (!comesBefore(slotMass[slot - 1]!, slotId[slot - 1]!, slotMass[slot]!, slotId[slot]!)) return false;
    }
    return true;
  };
  /** Sorts the largest masses into `kept`; returns how many there are. */
  const keepLargest = (slots: number): number => {
    let cut = 0;
    let length = 0;
    for (let slot = 0; slot < slots; slot++) {
      const id = slotId[slot]!;
      const mass = slotMass[slot]!;
      let place = length;
      if (length < width) {
        length++;
      } else {
        const last = kept[--place]!;
        if (comesBefore(slotMass[last]!, slotId[last]!, mass, id)) {
          cut += mass;
          continue;
        }
        cut += slotMass[last]!;
      }
      // Masses come nearly in order, so that few steps are needed.
      while (place > 0) {
        const above = kept[place - 1]!;
        if (comesBefore(slotMass[above]!, slotId[above]!, mass, id)) break;
        kept[place] = above;
        place--;
      }
      kept[place] = slot;
    }
    totals.cut += cut;
    return length;
  };

  return {
    totals,
    row: (sources, logp, logpAt, outId, outLogp, outAt, label = null, preference = null) => {
      let slots = 0;
      let stored = 0;
      const labelSource = label === null ? UNKNOWN : label.source;
      const labelPivot = label?.stored === true ? label.pivot : NOWHERE;
      if (label !== null && !label.stored) {
        stored += label.mass + label.rest;
        if (label.mass > 0) slots = give(label.pivot, label.mass, slots);
        if (label.rest > 0) slots = divide(label.source, label.rest, label.pivot, preference, slots);
      }
      for (let k = 0; k < sources.length; k++) {
        const bits = logp[logpAt + k]! & 0x7fff;
        const mass = masses[bits]!;
        if (mass === 0) break;
        const source = sources[k]!;
        const isLabel = source === labelSource;
        if (isLabel && labelPivot === NOWHERE) continue;
        stored += mass;
        const only = isLabel ? labelPivot : source < 0 ? NOWHERE : single[source]!;
        if (only >= 0) {
          const slot = slotOf[only]!;
          if (slot >= 0) {
            slotMass[slot]! += mass;
            slotBits[slot] = SUMMED;
          } else {
            slotOf[only] = slots;
            slotId[slots] = only;
            slotMass[slots] = mass;
            slotBits[slots++] = bits === 0 ? 0 : bits | 0x8000;
          }
        } else if (only === DIVIDED && preference !== null) {
          slots = divide(source, mass, NOWHERE, preference, slots);
        } else if (only === DIVIDED) {
          for (let e = start[source]!; e < start[source + 1]!; e++) {
            const id = pivot[e]!;
            const slot = slotOf[id]!;
            if (slot >= 0) {
              slotMass[slot]! += mass * share[e]!;
              slotBits[slot] = SUMMED;
            } else {
              slotOf[id] = slots;
              slotId[slots] = id;
              slotMass[slots] = mass * share[e]!;
              slotLog[slots] = logShare[e]! - halves[bits]!;
              slotBits[slots++] = ROUND;
            }
          }
        }
      }

      let placed = 0;
      let length = slots;
      // Where the masses are in order, the larger of two neighbouring patterns keeps them so: the logarithm of a sum and
      // a sum of logarithms may differ in the last bit, and patterns of negative halves grow downwards.
      let before = 0;
      if (slots <= width && inOrder(slots)) {
        for (let slot = 0; slot < slots; slot++) {
          const id = slotId[slot]!;
          slotOf[id] = -1;
          placed += slotMass[slot]!;
          const bits = patternOf(slot);
          if (bits > before) before = bits;
          outId[outAt + slot] = id;
          outLogp[outAt + slot] = before;
        }
      } else {
        for (let slot = 0; slot < slots; slot++) {
          slotOf[slotId[slot]!] = -1;
          placed += slotMass[slot]!;
        }
        length = keepLargest(slots);
        for (let k = 0; k < length; k++) {
          const slot = kept[k]!;
          const bits = patternOf(slot);
          if (bits > before) before = bits;
          outId[outAt + k] = slotId[slot]!;
          outLogp[outAt + k] = before;
        }
      }
      for (let k = length; k < width; k++) {
        outId[outAt + k] = 0;
        outLogp[outAt + k] = MINUS_INFINITY;
      }
      totals.stored += stored;
      totals.placed += placed;
      if (length === 0) totals.emptyRows++;
    },
  };
}

function comesBefore(mass: number, id: number, otherMass: number, otherId: number): boolean {
  return mass > otherMass || (mass === otherMass && id < otherId);
}

function mostPlaces({ start }: SparseMap): number {
  let most = 0;
  for (let source = 0; source + 1 < start.length; source++) most = Math.max(most, start[source + 1]! - start[source]!);
  return most;
}

/** [sources] the one pivot token that takes all of a source's mass, `NOWHERE`, or `DIVIDED`. */
function singlePlaces({ start, pivot, share }: SparseMap): Int32Array {
  return Int32Array.from({ length: start.length - 1 }, (_, source) => {
    const at = start[source]!;
    const places = start[source + 1]! - at;
    if (places === 0) return NOWHERE;
    return places === 1 && share[at] === 1 ? pivot[at]! : DIVIDED;
  });
}

let values: Float64Array | undefined;

/** The value of every non-negative float16 pattern. */
function halfTable(): Float64Array {
  values ??= Float64Array.from({ length: 0x8000 }, (_, bits) => halfToNumber(bits));
  return values;
}
