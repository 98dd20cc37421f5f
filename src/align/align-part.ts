/** One conversation of an alignment: which of its rows are shared, and what goes into the transfer of each. */
import { MINUS_INFINITY } from "../distributions/shard-columns.ts";
import { leaveOut, type NeverFollowing, spaceBefore } from "./following.ts";
import { createJoinedReader } from "./joined-reader.ts";
import { chainLabel, type LabelMass, type LabelShare, labelTokens } from "./label-mass.ts";
import type { LeadSwap, LeadSwaps } from "./leads.ts";
import { alignLeads, type SpaceTokens } from "./lone-space.ts";
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
  /** What is known of spaces, where rows get what the pivot has written to go by. */
  readonly spaces: Spaces | null;
}

export interface Spaces extends SpaceTokens {
  readonly never: NeverFollowing;
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
  const { sequence, width, preference, spaces } = plan;
  const reader = createRowReader(plan, pivot, source);
  let shared = alignParts(sequence, pivot, source, sourceRow);
  if (spaces !== null) shared += alignLeads(pivot, source, spaces, sourceRow);
  for (let row = pivot.from; row < pivot.to; row++) {
    if (sourceRow[row] === -1) {
      topId.fill(0, row * width, (row + 1) * width);
      topLogp.fill(MINUS_INFINITY, row * width, (row + 1) * width);
      continue;
    }
    const there = source.from + sourceRow[row]!;
    const label = reader.read(row, there);
    const { entries } = reader;
    transfers.shared.row(entries.sources, entries.logp, entries.at, topId, topLogp, row * width, label, preference);
    transfers.shared.totals.placed -= leaveOutImpossible(plan, rows, pivot, row);
  }
  if (transfers.within !== null) transferWithin(plan, transfers.within, rows, pivot, source);
  return shared;
}

/** Of a row within a token of which less than this has a place, the label alone tells more. */
const LEAST_PLACED = 0.5;

/** Of a row within a token of the source of which little is known, nothing is told. */
function transferWithin(plan: PartPlan, transfer: Transfer, rows: AlignedRows, pivot: Part, source: Part): void {
  const { width, preference, sourceVocabulary } = plan;
  const { sourceRow, withinRow, topId, topLogp } = rows;
  if (withinRow === undefined) return;
  findWithinRows(pivot, source, sourceVocabulary, sourceRow, withinRow);
  const reader = createWithinReader(plan, pivot, source);
  for (let row = pivot.from; row < pivot.to; row++) {
    if (withinRow[row] === -1) continue;
    const before = transfer.totals.placed;
    if (reader.read(row, source.from + withinRow[row]!)) {
      transfer.row(reader.sources, reader.logp, 0, topId, topLogp, row * width, reader.label, preference);
    }
    if (transfer.totals.placed - before >= LEAST_PLACED) {
      transfer.totals.placed -= leaveOutImpossible(plan, rows, pivot, row);
      if (topLogp[row * width] !== MINUS_INFINITY) continue;
    }
    withinRow[row] = -1;
    topId.fill(0, row * width, (row + 1) * width);
    topLogp.fill(MINUS_INFINITY, row * width, (row + 1) * width);
  }
}

/** Takes out of a row what the pivot never writes behind a space that it has just written; returns its mass. */
function leaveOutImpossible({ spaces, width }: PartPlan, rows: AlignedRows, pivot: Part, row: number): number {
  if (spaces === null) return 0;
  const never = spaces.never.get(spaceBefore(pivot, row, spaces.pivot));
  return never === undefined ? 0 : leaveOut(never, pivot.side.shard.token[row]!, rows, row, width);
}

/** A distribution as the transfer takes it. */
export interface Entries {
  /** What the map knows the stored tokens by; -1 has no place. */
  readonly sources: Int32Array;
  /** Their float16 log-probabilities, from `at` on; without mass after the last. */
  readonly logp: Uint16Array;
  readonly at: number;
  /** Which of the row's stored tokens each begins with; null where they are these. */
  readonly origin: Int32Array | null;
}

/** What the map knows the source's tokens of a shared row by. */
export interface RowReader {
  /** Of the row read last, in the order of its stored tokens. */
  readonly entries: Entries;
  /** Reads a pivot row and its source row; turns the preference to it. Returns what is known of the label, if anything. */
  read(row: number, sourceRow: number): LabelShare | null;
}

export function createRowReader(
  { swaps, sourceVocabulary, map, labelMass, preference, spaces }: PartPlan,
  pivot: Part,
  source: Part,
): RowReader {
  const from = source.side.shard;
  const { topId, topLogp } = from;
  const { topK } = from.metadata;
  const sources = new Int32Array(topK);
  const share: LabelShare = { source: 0, pivot: 0, stored: false, mass: 0, rest: 0 };
  const joined = spaces && createJoinedReader(swaps, sourceVocabulary, spaces.source, pivot, source);
  let entries: Entries = { sources, logp: topLogp, at: 0, origin: null };
  const knownAs = (id: number, swap: LeadSwap | null): number =>
    swap === null ? id : swappedSource(swap, id, sourceVocabulary);
  /** What the label's first token behind so many spaces is known by, and the logarithm of what these have. */
  const chained = (row: number, there: number, first: number, behind = 0, before = 0): boolean => {
    const tokens = labelTokens(pivot.side.spans, row, source.side.spans, there, source.to) - behind;
    const label = pivot.side.shard.token[row]!;
    return tokens > 0 && first >= 0 && chainLabel(share, label, first, from, there + behind, tokens, map, before);
  };
  const hasLabel = labelMass === "chain";
  return {
    get entries() {
      return entries;
    },
    read: (row, there) => {
      preference?.read(pivot.side.shard, row);
      const behind = joined?.read(row, there) ?? null;
      if (behind !== null) {
        entries = { sources: joined!.sources, logp: joined!.logp, at: 0, origin: joined!.origin };
        return hasLabel && chained(row, there, behind.label, behind.spaces, behind.logp) ? share : null;
      }
      const at = there * topK;
      entries = { sources, logp: topLogp, at, origin: null };
      const swap = swaps.between(pivot.side, row, source.side, there);
      for (let k = 0; k < topK; k++) sources[k] = topId[at + k]!;
      if (swap !== null) for (let k = 0; k < topK; k++) sources[k] = knownAs(sources[k]!, swap);
      else if (spaces !== null) nameSpaces(sources, row, there);
      return hasLabel && chained(row, there, knownAs(from.token[there]!, swap)) ? share : null;
    },
  };

  /** Where both begin a response with the same lead, a space of the source is all of its lead and says nothing of a word. */
  function nameSpaces(ids: Int32Array, row: number, there: number): void {
    const swap = swaps.beginning(pivot.side, row, source.side, there);
    if (swap === null || spaces!.source[from.token[there]!] === 1) return;
    for (let k = 0; k < topK; k++) if (spaces!.source[ids[k]!] === 1) ids[k] = knownAs(ids[k]!, swap);
  }
}

/** The source of the map for a token with another lead: special tokens keep theirs, as they have no bytes. */
function swappedSource(swap: LeadSwap, id: number, vocabulary: TokenBytes): number {
  if (vocabulary.special[id] === 1) return id;
  const text = swap.textOf(id);
  return text < 0 ? -1 : vocabulary.size + text;
}
