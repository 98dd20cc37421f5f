/**
 * Stretches of responses as both models' rows tell them, in numbers: the two tokenisations, which rows are shared, and
 * where each of the source's most probable tokens went. Where a token went is found by the transfer itself, one token at
 * a time, so that it is what the shard holds under every setting.
 */
import { MINUS_INFINITY } from "../../distributions/shard-columns.ts";
import { halfToNumber } from "../../formats/float.ts";
import type { Part } from "../paired-conversations.ts";
import type { PartPlan } from "../part-plan.ts";
import { createRowReader, type Entries } from "../row-reader.ts";
import { createTransfer } from "../transfer.ts";

/** A label token: its span in the response, and how many of its bytes lie before that. */
export interface LabelRow {
  readonly token: number;
  readonly lead: number;
  readonly byteStart: number;
  readonly byteEnd: number;
}

export type Mass = readonly [token: number, probability: number];

/** A token of the source, its probability, and the pivot tokens that it went to, largest first. */
export interface WentRow {
  readonly token: number;
  readonly probability: number;
  readonly places: readonly Mass[];
}

export interface PassageRows {
  readonly conversation: number;
  readonly turn: number;
  readonly pivot: readonly LabelRow[];
  readonly source: readonly LabelRow[];
  /** Indices into the two lists. */
  readonly shared: readonly { readonly pivot: number; readonly source: number; readonly went: readonly WentRow[] }[];
}

/** Rows of the pivot before and from the wanted one on; tokens told of a row; places told of a token. */
const ROWS_BEFORE = 8;
const ROWS_AFTER = 16;
const TOKENS = 5;
const PLACES = 4;

export interface PassageReader {
  /** Passages around these shared rows (ascending) of an aligned conversation; rows in one passage are shown once. */
  passages(sourceRow: Int32Array, pivot: Part, source: Part, rows: readonly number[]): PassageRows[];
}

export function createPassageReader(plan: PartPlan, pivotVocabulary: number): PassageReader {
  // Made when first needed: most units have no passage.
  let tracer: ReturnType<typeof createTracer> | undefined;
  return {
    passages: (sourceRow, pivot, source, rows) => {
      const passages: PassageRows[] = [];
      let end = -1;
      for (const row of rows) {
        if (row < end) continue;
        tracer ??= createTracer(plan, pivotVocabulary);
        const window = windowAround(sourceRow, pivot, row, end);
        end = window.to;
        passages.push(passageRows(sourceRow, pivot, source, window, tracer(pivot, source)));
      }
      return passages;
    },
  };
}

/** Pivot rows of the wanted row's response; both ends are beginnings of shared rows, so that both tokenisations are cut there. */
function windowAround(
  sourceRow: Int32Array,
  { side, from, to }: Part,
  row: number,
  after: number,
): { from: number; to: number } {
  const { turn } = side.shard;
  let first = row;
  for (let r = row; r >= Math.max(from, after, row - ROWS_BEFORE) && turn[r] === turn[row]; r--) {
    if (sourceRow[r] !== -1) first = r;
  }
  let last = row + 1;
  const goesOn = (next: number): boolean =>
    next < row + ROWS_AFTER || (next < row + 2 * ROWS_AFTER && sourceRow[next] === -1);
  while (last < to && turn[last] === turn[row] && goesOn(last)) last++;
  return { from: first, to: last };
}

function passageRows(
  sourceRow: Int32Array,
  pivot: Part,
  source: Part,
  window: { readonly from: number; readonly to: number },
  trace: (row: number, sourceRow: number) => WentRow[],
): PassageRows {
  const turn = pivot.side.shard.turn[window.from]!;
  const start = pivot.side.shard.byteStart[window.from]!;
  const end = pivot.side.shard.byteEnd[window.to - 1]!;
  const sourceRows: number[] = [];
  const wanted = new Set<number>();
  for (let row = window.from; row < window.to; row++) if (sourceRow[row] !== -1) wanted.add(sourceRow[row]!);
  for (let row = source.from; row < source.to; row++) {
    const { turn: turns, byteStart, byteEnd } = source.side.shard;
    const overlaps = turns[row] === turn && byteStart[row]! < end && byteEnd[row]! > start;
    if (overlaps || wanted.has(row - source.from)) sourceRows.push(row);
  }
  const shared: PassageRows["shared"][number][] = [];
  for (let row = window.from; row < window.to; row++) {
    if (sourceRow[row] === -1) continue;
    const there = source.from + sourceRow[row]!;
    shared.push({ pivot: row - window.from, source: sourceRows.indexOf(there), went: trace(row, there) });
  }
  const pivotRows = Array.from({ length: window.to - window.from }, (_, i) => labelRow(pivot, window.from + i));
  return {
    conversation: pivot.side.shard.conversation[pivot.index]!,
    turn,
    pivot: pivotRows,
    source: sourceRows.map((row) => labelRow(source, row)),
    shared,
  };
}

function labelRow({ side: { shard } }: Part, row: number): LabelRow {
  return {
    token: shard.token[row]!,
    lead: shard.lead[row]!,
    byteStart: shard.byteStart[row]!,
    byteEnd: shard.byteEnd[row]!,
  };
}

/** For a conversation a function that tells where the first tokens of a shared row went. */
function createTracer(
  plan: PartPlan,
  pivotVocabulary: number,
): (pivot: Part, source: Part) => (row: number, sourceRow: number) => WentRow[] {
  const transfer = createTransfer(plan.map, pivotVocabulary, PLACES);
  const outId = new Uint32Array(PLACES);
  const outLogp = new Uint16Array(PLACES);
  return (pivot, source) => {
    const reader = createRowReader(plan, pivot, source);
    const { topId, topLogp, metadata } = source.side.shard;
    return (row, sourceRow) => {
      const label = reader.read(row, sourceRow);
      const went: WentRow[] = [];
      for (let k = 0; k < Math.min(TOKENS, metadata.topK); k++) {
        const at = sourceRow * metadata.topK + k;
        const probability = Math.exp(halfToNumber(topLogp[at]!));
        if (probability === 0) break;
        const { sources, logp } = entriesOf(reader.entries, k);
        const ofLabel = label !== null && sources.includes(label.source) ? label : null;
        transfer.row(sources, logp, 0, outId, outLogp, 0, ofLabel, plan.preference);
        const places = Array.from(outId, (id, place): Mass => [id, rounded(Math.exp(halfToNumber(outLogp[place]!)))]);
        went.push({
          token: topId[at]!,
          probability: rounded(probability),
          places: places.filter(([, held]) => held > 0),
        });
      }
      return went;
    };
  };
}

/** What of a row's entries begins with its token `k`. */
function entriesOf({ sources, logp, at, origin }: Entries, k: number): { sources: Int32Array; logp: Uint16Array } {
  if (origin === null) return { sources: sources.slice(k, k + 1), logp: logp.slice(at + k, at + k + 1) };
  const end = logp.indexOf(MINUS_INFINITY);
  const places = Array.from({ length: end }, (_, place) => place).filter((place) => origin[place] === k);
  return {
    sources: Int32Array.from(places, (place) => sources[place]!),
    logp: Uint16Array.from(places, (place) => logp[place]!),
  };
}

function rounded(probability: number): number {
  return Number(probability.toFixed(6));
}
