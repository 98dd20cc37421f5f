/** One conversation of an alignment: which of its rows are shared, and what goes into the transfer of each. */
import { MINUS_INFINITY } from "../distributions/shard-columns.ts";
import { alignParts, type Part } from "./paired-conversations.ts";
import type { PartPlan } from "./part-plan.ts";
import { createRowReader } from "./row-reader.ts";
import type { AlignedShard } from "./shard.ts";
import { leaveOut, spaceBefore } from "./spaces/following.ts";
import { alignLeads } from "./spaces/lone-space.ts";
import type { Transfer } from "./transfer.ts";
import { findWithinRows } from "./within/within.ts";
import { createWithinReader } from "./within/within-reader.ts";

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
