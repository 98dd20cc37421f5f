/** The second walk over one unit: every row of the pivot's shard gets its distribution, and the aligned shard is written. */
import { join } from "node:path";
import { tokenIds } from "../distributions/shard-file.ts";
import { type ExampleRow, heldMasses } from "./examples.ts";
import { chainLabel, type LabelMass, type LabelShare, labelTokens } from "./label-mass.ts";
import { createLeadSwaps, type LeadSwap, type LeadSwaps } from "./leads.ts";
import { type Part, part, type Side } from "./paired-conversations.ts";
import { createPreference, type Division, type PreferenceReader } from "./preference.ts";
import { release } from "./release.ts";
import type { SequenceAlignment } from "./sequence.ts";
import type { AlignedMetadata, AlignedShard } from "./shard.ts";
import { writeAlignedShard } from "./shard-file.ts";
import type { TokenBytes } from "./shared-vocabulary.ts";
import type { SparseMap } from "./sparse-map.ts";
import { createTransfer, type Transfer, type TransferTotals } from "./transfer.ts";
import type { OpenedUnit } from "./units.ts";

/** What all units of a folder have in common. */
export interface WritePlan {
  readonly out: string;
  readonly metadata: AlignedMetadata;
  /** Sources: the source's ids, then the texts of the survey. */
  readonly map: SparseMap;
  readonly texts: readonly Uint8Array[];
  readonly width: number;
  readonly labelMass: LabelMass;
  readonly divide: Division;
}

/** Figures of a conversation, sums over its rows; those of the source are 0 where it has no such conversation. */
export interface ConversationTotals extends TransferTotals {
  readonly pivotNats: number;
  readonly sourceNats: number;
  readonly pivotBytes: number;
  readonly sourceBytes: number;
}

export interface WrittenUnit {
  /** A unit's conversations, in order. */
  readonly totals: readonly ConversationTotals[];
  readonly examples: readonly ExampleRow[];
}

export interface UnitWriter {
  /** `examples` are numbers of shared rows, counted over the unit and ascending. */
  write(unit: OpenedUnit, name: string, examples: readonly number[]): Promise<WrittenUnit>;
}

export function createUnitWriter(
  plan: WritePlan,
  pivotVocabulary: TokenBytes,
  sourceVocabulary: TokenBytes,
  sequence: SequenceAlignment,
): UnitWriter {
  const { map, width, texts, metadata, labelMass } = plan;
  const transfer = createTransfer(map, pivotVocabulary.size, width);
  const swaps = createLeadSwaps(pivotVocabulary, sourceVocabulary, texts);
  const preference = plan.divide === "pivot" ? createPreference(pivotVocabulary.size) : null;
  const partPlan: PartPlan = { sequence, swaps, sourceVocabulary, map, width, labelMass, preference };
  return {
    write: async ({ pivot: side, find }, name, wanted) => {
      const shard = emptyShard(metadata, width, pivotVocabulary.size, side);
      const totals: ConversationTotals[] = [];
      const examples: ExampleRow[] = [];
      let sharedBefore = 0;
      for (let n = 0; n < shard.conversation.length; n++) {
        const pivot = part(side, n);
        const source = await find(shard.conversation[n]!);
        Object.assign(transfer.totals, NOTHING);
        if (source !== null) {
          const shared = alignPart(partPlan, transfer, shard, pivot, source);
          while (examples.length < wanted.length && wanted[examples.length]! < sharedBefore + shared) {
            const row = sharedRow(shard, pivot, wanted[examples.length]! - sharedBefore);
            examples.push(exampleRow(shard, pivot, source, row, width));
          }
          sharedBefore += shared;
          shard.sourceNats[n] = nats(source);
          shard.sourceBytes[n] = source.side.shard.bytes[source.index]!;
        }
        shard.pivotNats[n] = nats(pivot);
        totals.push({
          ...transfer.totals,
          pivotNats: nats(pivot),
          sourceNats: source === null ? 0 : nats(source),
          pivotBytes: shard.pivotBytes[n]!,
          sourceBytes: shard.sourceBytes[n]!,
        });
      }
      await writeAlignedShard(join(plan.out, name), shard);
      release([shard.topId, shard.topLogp]);
      return { totals, examples };
    },
  };
}

const NOTHING: TransferTotals = { stored: 0, placed: 0, cut: 0, emptyRows: 0 };

/** An aligned shard beside a pivot's, without any distribution yet. */
function emptyShard(metadata: AlignedMetadata, width: number, vocabulary: number, { shard }: Side): AlignedShard {
  const rows = shard.token.length;
  const conversations = shard.conversation.length;
  return {
    metadata,
    conversation: shard.conversation,
    rowStart: shard.rowStart,
    sourceRow: new Int32Array(rows).fill(-1),
    topId: tokenIds(vocabulary, rows * width),
    topLogp: new Uint16Array(rows * width).fill(0xfc00),
    pivotNats: new Float32Array(conversations),
    sourceNats: new Float32Array(conversations),
    pivotBytes: shard.bytes,
    sourceBytes: new Int32Array(conversations),
  };
}

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

/** Aligns one conversation and transfers its shared rows; returns how many there are. */
export function alignPart(
  { sequence, swaps, sourceVocabulary, map, width, labelMass, preference }: PartPlan,
  transfer: Transfer,
  shard: Pick<AlignedShard, "sourceRow" | "topId" | "topLogp">,
  pivot: Part,
  source: Part,
): number {
  const { sourceRow, topId, topLogp } = shard;
  const from = source.side.shard;
  const { topId: ids } = from;
  const { topK } = from.metadata;
  const sources = new Int32Array(topK);
  const share: LabelShare = { source: 0, pivot: 0, stored: false, mass: 0, rest: 0 };
  const chained = (row: number, there: number): boolean => {
    const tokens = labelTokens(pivot.side.spans, row, source.side.spans, there, source.to);
    return tokens > 0 && chainLabel(share, pivot.side.shard.token[row]!, from, there, tokens, map);
  };
  const shared = sequence.align(
    pivot.side.spans,
    pivot.from,
    pivot.to,
    source.side.spans,
    source.from,
    source.to,
    sourceRow,
  );
  for (let row = pivot.from; row < pivot.to; row++) {
    if (sourceRow[row] === -1) continue;
    const there = source.from + sourceRow[row]!;
    const at = there * topK;
    const swap = swaps.between(pivot.side, row, source.side, there);
    for (let k = 0; k < topK; k++) sources[k] = ids[at + k]!;
    if (swap !== null) for (let k = 0; k < topK; k++) sources[k] = swappedSource(swap, sources[k]!, sourceVocabulary);
    // With a swapped lead the source's label is a text, of which its rows tell nothing.
    const label = labelMass === "chain" && swap === null && chained(row, there) ? share : null;
    preference?.read(pivot.side.shard, row);
    transfer.row(sources, from.topLogp, at, topId, topLogp, row * width, label, preference);
  }
  return shared;
}

/** The source of the map for a token with another lead: special tokens keep theirs, as they have no bytes. */
function swappedSource(swap: LeadSwap, id: number, vocabulary: TokenBytes): number {
  if (vocabulary.special[id] === 1) return id;
  const text = swap.textOf(id);
  return text < 0 ? -1 : vocabulary.size + text;
}

/** Sum of -label_logp over a conversation's rows, in float64. */
function nats({ side, from, to }: Part): number {
  let sum = 0;
  for (let row = from; row < to; row++) sum -= side.shard.labelLogp[row]!;
  return sum;
}

/** The row that is the `number`-th shared one of a conversation. */
function sharedRow({ sourceRow }: AlignedShard, { from, to }: Part, number: number): number {
  let left = number;
  for (let row = from; row < to; row++) {
    if (sourceRow[row] !== -1 && left-- === 0) return row;
  }
  return from;
}

function exampleRow(shard: AlignedShard, pivot: Part, source: Part, row: number, width: number): ExampleRow {
  const { turn, byteStart, token } = pivot.side.shard;
  const from = source.side.shard;
  const sourceRow = source.from + shard.sourceRow[row]!;
  const { topK } = from.metadata;
  return {
    conversation: shard.conversation[pivot.index]!,
    turn: turn[row]!,
    byteStart: byteStart[row]!,
    pivotToken: token[row]!,
    sourceToken: from.token[sourceRow]!,
    stored: heldMasses(from.topId, from.topLogp, sourceRow * topK, topK),
    mapped: heldMasses(shard.topId, shard.topLogp, row * width, width),
  };
}
