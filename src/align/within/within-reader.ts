/** A source's distribution at rows of the pivot that begin within one of its tokens, as the transfer takes it. */
import type { DistributionsShard } from "../../distributions/shard.ts";
import { MINUS_INFINITY, massTable } from "../../distributions/shard-columns.ts";
import { halfToNumber } from "../../formats/float.ts";
import { type LabelShare, tokensToEnd } from "../label-mass.ts";
import { negativeHalf } from "../negative-half.ts";
import type { Part } from "../paired-conversations.ts";
import type { PartPlan } from "../part-plan.ts";
import { bytesRead } from "./within.ts";

export interface WithinReader {
  /** [K + 1] what the map knows the tokens by; after the last one there is no mass. */
  readonly sources: Int32Array;
  /** [K + 1] float16 log-probabilities, given what was read. */
  readonly logp: Uint16Array;
  /** Of the row read last, where the chain rule tells more than the map. */
  readonly label: LabelShare | null;
  /** Reads the row of the pivot from the source's row that it lies in; false where nothing that is stored goes on there. */
  read(row: number, sourceRow: number): boolean;
}

export function createWithinReader(plan: PartPlan, pivot: Part, source: Part): WithinReader {
  const { swaps, sourceVocabulary, map, labelMass, preference } = plan;
  const from = source.side.shard;
  const { topK, rows } = from.metadata;
  const masses = massTable();
  const sources = new Int32Array(topK + 1);
  const logp = new Uint16Array(topK + 1);
  const share: LabelShare = { source: 0, pivot: 0, stored: false, mass: 0, rest: 0 };
  let label: LabelShare | null = null;

  /** Writes to `share` what the chain gives to the pivot's label, of whose first token `mass` is known; false where the map says the same. */
  const chained = (row: number, there: number, first: number, mass: number): boolean => {
    const tokens = tokensToEnd(pivot.side.spans, row, source.side.spans, there, source.to);
    if (tokens === 0) return false;
    share.source = first;
    share.pivot = pivot.side.shard.token[row]!;
    share.stored = tokens === 1;
    const at = map.start[first]!;
    if (share.stored) return map.start[first + 1] !== at + 1 || map.pivot[at] !== share.pivot;
    share.mass = mass * Math.exp(sumOf(from, there + 1, there + tokens));
    share.rest = Math.max(0, mass - share.mass);
    return true;
  };

  return {
    sources,
    logp,
    get label() {
      return label;
    },
    read: (row, there) => {
      const swap = swaps.after(source.side, there, bytesRead(pivot, row, source, there));
      const own = from.token[there]!;
      let count = 0;
      let whole = 0;
      let ownMass = 0;
      const add = (text: number, mass: number, id: number): void => {
        whole += mass;
        if (id === own) ownMass = mass;
        sources[count++] = sourceVocabulary.size + text;
      };
      const begin = there * topK;
      const log: number[] = [];
      for (let k = begin; k < begin + topK; k++) {
        const bits = from.topLogp[k]! & 0x7fff;
        if (masses[bits] === 0) break;
        const text = swap.textOf(from.topId[k]!);
        if (text < 0) continue;
        log.push(-halfToNumber(bits));
        add(text, masses[bits]!, from.topId[k]!);
      }
      // A token that was not drawn has its mass in the mean over all draws already.
      if (ownMass === 0 && rows !== "sampled") {
        log.push(from.labelLogp[there]!);
        add(swap.textOf(own), Math.exp(from.labelLogp[there]!), own);
      }
      if (!(whole > 0)) return false;
      const scale = Math.log(whole);
      for (let k = 0; k < count; k++) logp[k] = negativeHalf(log[k]! - scale);
      if (count <= topK) logp[count] = MINUS_INFINITY;
      preference?.read(pivot.side.shard, row);
      const first = sourceVocabulary.size + swap.textOf(own);
      label = labelMass === "chain" && ownMass > 0 && chained(row, there, first, ownMass / whole) ? share : null;
      return true;
    },
  };
}

/** The labels' log-probabilities of rows `first .. end-1`. */
function sumOf({ labelLogp }: DistributionsShard, first: number, end: number): number {
  let sum = 0;
  for (let row = first; row < end; row++) sum += labelLogp[row]!;
  return sum;
}
