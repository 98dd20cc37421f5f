/** The second walk over one unit: every row of the pivot's shard gets its distribution, and the aligned shard is written. */
import { join } from "node:path";
import { tokenIds } from "../../distributions/shard-file.ts";
import type { TensorMemory } from "../../formats/safetensors.ts";
import { alignPart, clearPart } from "../align-part.ts";
import { type ExampleRow, heldMasses } from "../examples/examples.ts";
import { createPassageReader, type PassageRows } from "../examples/passage-rows.ts";
import type { LabelMass } from "../label-mass.ts";
import { createLeadSwaps } from "../leads.ts";
import { type Part, part, type Side } from "../paired-conversations.ts";
import type { PartPlan } from "../part-plan.ts";
import { createPreference, type Division } from "../preference.ts";
import type { SequenceAlignment } from "../sequence.ts";
import type { AlignedMetadata, AlignedShard } from "../shard.ts";
import { writeAlignedShard } from "../shard-file.ts";
import type { NeverFollowing } from "../spaces/following.ts";
import { loneSpaces } from "../spaces/lone-space.ts";
import type { SparseMap } from "../sparse-map.ts";
import { createTransfer, type TransferTotals } from "../transfer.ts";
import type { Within } from "../within/within.ts";
import { createShardMemory } from "./shard-memory.ts";
import type { TokenBytes } from "./shared-vocabulary.ts";
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
  readonly within: Within;
  /** What the pivot never writes behind a space; empty without `within`. */
  readonly never: NeverFollowing;
}

/** Figures of a conversation, sums over its rows; those of the source are 0 where it has no such conversation. */
export interface ConversationTotals extends TransferTotals {
  readonly pivotNats: number;
  readonly sourceNats: number;
  readonly pivotBytes: number;
  readonly sourceBytes: number;
  /** Rows within a token of the source that have a distribution. */
  readonly withinRows: number;
}

export interface WrittenUnit {
  /** A unit's conversations, in order. */
  readonly totals: readonly ConversationTotals[];
  readonly examples: readonly ExampleRow[];
  readonly passages: readonly PassageRows[];
}

/** Numbers of shared rows, counted over the unit and ascending: those that become examples, those shown in their text. */
export interface Wanted {
  readonly examples: readonly number[];
  readonly passages: readonly number[];
}

export interface UnitWriter {
  write(unit: OpenedUnit, name: string, wanted: Wanted): Promise<WrittenUnit>;
}

export function createUnitWriter(
  plan: WritePlan,
  pivotVocabulary: TokenBytes,
  sourceVocabulary: TokenBytes,
  sequence: SequenceAlignment,
): UnitWriter {
  const { map, width, texts, metadata, labelMass } = plan;
  const transfer = createTransfer(map, pivotVocabulary.size, width);
  const isWithin = plan.within === "conditional";
  const within = isWithin ? createTransfer(map, pivotVocabulary.size, width) : null;
  const swaps = createLeadSwaps(pivotVocabulary, sourceVocabulary, texts);
  const preference = plan.divide === "pivot" ? createPreference(pivotVocabulary.size) : null;
  const spaces = isWithin
    ? { pivot: loneSpaces(pivotVocabulary), source: loneSpaces(sourceVocabulary), never: plan.never }
    : null;
  const partPlan: PartPlan = { sequence, swaps, sourceVocabulary, map, width, labelMass, preference, spaces };
  const memory = createShardMemory();
  const passageReader = createPassageReader(partPlan, pivotVocabulary.size);
  return {
    write: async ({ pivot: side, find }, name, wanted) => {
      const shard = shardBeside(side, metadata, width, pivotVocabulary.size, isWithin, memory);
      const totals: ConversationTotals[] = [];
      const examples: ExampleRow[] = [];
      const passages: PassageRows[] = [];
      let sharedBefore = 0;
      for (let n = 0; n < shard.conversation.length; n++) {
        const pivot = part(side, n);
        const source = await find(shard.conversation[n]!);
        Object.assign(transfer.totals, NOTHING);
        if (source !== null) {
          const shared = alignPart(partPlan, { shared: transfer, within }, shard, pivot, source);
          const rowsHere = (numbers: readonly number[]): number[] =>
            numbers
              .filter((number) => sharedBefore <= number && number < sharedBefore + shared)
              .map((number) => sharedRow(shard, pivot, number - sharedBefore));
          for (const row of rowsHere(wanted.examples)) examples.push(exampleRow(shard, pivot, source, row, width));
          passages.push(...passageReader.passages(shard.sourceRow, pivot, source, rowsHere(wanted.passages)));
          sharedBefore += shared;
          shard.sourceNats[n] = nats(source);
          shard.sourceBytes[n] = source.side.shard.bytes[source.index]!;
        } else {
          clearPart(partPlan, shard, pivot);
        }
        shard.pivotNats[n] = nats(pivot);
        totals.push({
          ...transfer.totals,
          pivotNats: nats(pivot),
          sourceNats: source === null ? 0 : nats(source),
          pivotBytes: shard.pivotBytes[n]!,
          sourceBytes: shard.sourceBytes[n]!,
          withinRows:
            shard.withinRow?.subarray(pivot.from, pivot.to).reduce((sum, at) => sum + (at < 0 ? 0 : 1), 0) ?? 0,
        });
      }
      await writeAlignedShard(join(plan.out, name), shard);
      return { totals, examples, passages };
    },
  };
}

const NOTHING: TransferTotals = { stored: 0, placed: 0, cut: 0, emptyRows: 0 };

/** An aligned shard beside a pivot's; what its rows hold is still to be written. */
function shardBeside(
  { shard }: Side,
  metadata: AlignedMetadata,
  width: number,
  vocabulary: number,
  isWithin: boolean,
  memory: TensorMemory,
): AlignedShard {
  const rows = shard.token.length;
  const conversations = shard.conversation.length;
  const { buffer: sourceRow } = memory("source_row", 4 * rows);
  const { buffer: topId } = memory("top_id", 4 * rows * width);
  const { buffer: topLogp } = memory("top_logp", 2 * rows * width);
  return {
    metadata,
    conversation: shard.conversation,
    rowStart: shard.rowStart,
    sourceRow: new Int32Array(sourceRow, 0, rows),
    ...(isWithin && { withinRow: new Int32Array(memory("within_row", 4 * rows).buffer, 0, rows) }),
    topId: tokenIds(vocabulary, rows * width, topId),
    topLogp: new Uint16Array(topLogp, 0, rows * width),
    pivotNats: new Float32Array(conversations),
    sourceNats: new Float32Array(conversations),
    pivotBytes: shard.bytes,
    sourceBytes: new Int32Array(conversations),
  };
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
