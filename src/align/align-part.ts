/** One conversation of an alignment: which of its rows are shared, and what goes into the transfer of each. */
import { MINUS_INFINITY } from "../distributions/shard-columns.ts";
import { chainLabel, type LabelMass, type LabelShare, labelTokens } from "./label-mass.ts";
import type { LeadSwap, LeadSwaps } from "./leads.ts";
import { alignParts, type Part } from "./paired-conversations.ts";
import type { PreferenceReader } from "./preference.ts";
import type { SequenceAlignment } from "./sequence.ts";
import type { AlignedShard } from "./shard.ts";
import type { SparseMap } from "./sparse-map.ts";
import type { Transfer } from "./transfer.ts";
import type { TokenBytes } from "./units/shared-vocabulary.ts";
import { findWithinRows } from "./within.ts";
import { createWithinReader } from "./within-reader.ts";

export interface PartPlan {
  readonly sequence: SequenceAlignment;
  readonly swaps: LeadSwaps;
  readonly sourceVocabulary: TokenBytes;
  readonly map: SparseMap;
  readonly width: number;
  readonly labelMass: LabelMass;
  /** What divides masses beside the map's shares, if anything. */
  readonly preference: PreferenceReader | null;
}

/** What is written of a conversation's rows. */
export type AlignedRows = Pick<AlignedShard, "sourceRow" | "withinRow" | "topId" | "topLogp">;

/** Of rows that both models have, and of those within a token of the source, where these get something. */
export interface Transfers {
  readonly shared: Transfer;
  readonly within: Transfer | null;
}

/** The rows of a conversation that the source does not have. */
export function clearPart(
  { width }: PartPlan,
  { sourceRow, withinRow, topId, topLogp }: AlignedRows,
  { from, to }: Part,
): void {
  sourceRow.fill(-1, from, to);
  withinRow?.fill(-1, from, to);
  topId.fill(0, from * width, to * width);
  topLogp.fill(MINUS_INFINITY, from * width, to * width);
}

/** Aligns one conversation and transfers its rows; returns how many are shared. */
export function alignPart(plan: PartPlan, transfers: Transfers, rows: AlignedRows, pivot: Part, source: Part): number {
  const { sourceRow, topId, topLogp } = rows;
  const { sequence, width, preference } = plan;
  const from = source.side.shard;
  const reader = createRowReader(plan, pivot, source);
  const shared = alignParts(sequence, pivot, source, sourceRow);
  for (let row = pivot.from; row < pivot.to; row++) {
    if (sourceRow[row] === -1) {
      topId.fill(0, row * width, (row + 1) * width);
      topLogp.fill(MINUS_INFINITY, row * width, (row + 1) * width);
      continue;
    }
    const there = source.from + sourceRow[row]!;
    const label = reader.read(row, there);
    const at = there * from.metadata.topK;
    transfers.shared.row(reader.sources, from.topLogp, at, topId, topLogp, row * width, label, preference);
  }
  if (transfers.within !== null) transferWithin(plan, transfers.within, rows, pivot, source);
  return shared;
}

/** Of a row within a token of which less than this has a place, the label alone tells more. */
const LEAST_PLACED = 0.5;

/** Of a row within a token of the source of which little is known, nothing is told. */
function transferWithin(
  plan: PartPlan,
  transfer: Transfer,
  { sourceRow, withinRow, topId, topLogp }: AlignedRows,
  pivot: Part,
  source: Part,
): void {
  const { width, preference, sourceVocabulary } = plan;
  if (withinRow === undefined) return;
  findWithinRows(pivot, source, sourceVocabulary, sourceRow, withinRow);
  const reader = createWithinReader(plan, pivot, source);
  for (let row = pivot.from; row < pivot.to; row++) {
    if (withinRow[row] === -1) continue;
    const before = transfer.totals.placed;
    if (reader.read(row, source.from + withinRow[row]!)) {
      transfer.row(reader.sources, reader.logp, 0, topId, topLogp, row * width, reader.label, preference);
    }
    if (transfer.totals.placed - before >= LEAST_PLACED) continue;
    withinRow[row] = -1;
    topId.fill(0, row * width, (row + 1) * width);
    topLogp.fill(MINUS_INFINITY, row * width, (row + 1) * width);
  }
}

/** What the map knows the source's tokens of a shared row by. */
export interface RowReader {
  /** [K] sources of the row read last, in the order of its stored tokens; -1 has no place. */
  readonly sources: Int32Array;
  /** Reads a pivot row and its source row; turns the preference to it. Returns what is known of the label, if anything. */
  read(row: number, sourceRow: number): LabelShare | null;
}

export function createRowReader(
  { swaps, sourceVocabulary, map, labelMass, preference }: PartPlan,
  pivot: Part,
  source: Part,
): RowReader {
  const from = source.side.shard;
  const { topId } = from;
  const { topK } = from.metadata;
  const sources = new Int32Array(topK);
  const share: LabelShare = { source: 0, pivot: 0, stored: false, mass: 0, rest: 0 };
  const knownAs = (id: number, swap: LeadSwap | null): number =>
    swap === null ? id : swappedSource(swap, id, sourceVocabulary);
  const chained = (row: number, there: number, swap: LeadSwap | null): boolean => {
    const tokens = labelTokens(pivot.side.spans, row, source.side.spans, there, source.to);
    const first = knownAs(from.token[there]!, swap);
    return tokens > 0 && first >= 0 && chainLabel(share, pivot.side.shard.token[row]!, first, from, there, tokens, map);
  };
  return {
    sources,
    read: (row, there) => {
      const at = there * topK;
      const swap = swaps.between(pivot.side, row, source.side, there);
      for (let k = 0; k < topK; k++) sources[k] = topId[at + k]!;
      if (swap !== null) for (let k = 0; k < topK; k++) sources[k] = knownAs(sources[k]!, swap);
      preference?.read(pivot.side.shard, row);
      return labelMass === "chain" && chained(row, there, swap) ? share : null;
    },
  };
}

/** The source of the map for a token with another lead: special tokens keep theirs, as they have no bytes. */
function swappedSource(swap: LeadSwap, id: number, vocabulary: TokenBytes): number {
  if (vocabulary.special[id] === 1) return id;
  const text = swap.textOf(id);
  return text < 0 ? -1 : vocabulary.size + text;
}
