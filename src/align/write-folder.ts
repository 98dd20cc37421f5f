/** The second walk over an alignment: every row of the pivot gets its distribution, one aligned shard at a time. */
import { join } from "node:path";
import { shardName } from "../distributions/folder.ts";
import { tokenIds } from "../distributions/shard-file.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { exampleRows, tokenMasses, type WorkedExample, workedExample } from "./examples.ts";
import type { LeadSwap } from "./leads.ts";
import { type FolderPair, type Part, pairedShards, part, type Side } from "./paired-folders.ts";
import type { SequenceAlignment } from "./sequence.ts";
import type { AlignedMetadata, AlignedShard } from "./shard.ts";
import { writeAlignedShard } from "./shard-file.ts";
import type { SparseMap } from "./sparse-map.ts";
import type { Survey } from "./survey.ts";
import { createTransfer, type Transfer, type TransferTotals } from "./transfer.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface AlignmentPlan extends FolderPair {
  readonly out: string;
  readonly sequence: SequenceAlignment;
  readonly metadata: AlignedMetadata;
  /** Sources: the source's ids, then the texts of the survey's lead swaps. */
  readonly map: SparseMap;
  readonly width: number;
  readonly survey: Survey;
}

export interface WrittenAlignment {
  readonly totals: TransferTotals;
  readonly examples: readonly WorkedExample[];
  /** Sums over all conversations of each model's own rows. */
  readonly pivotNats: number;
  readonly sourceNats: number;
  readonly pivotBytes: number;
  readonly sourceBytes: number;
  /** Conversations that the source predicts in fewer nats per byte than the pivot. */
  readonly sourceBetter: number;
}

const EXAMPLES = 20;

export async function writeAlignedFolder(
  plan: AlignmentPlan,
  tokenizers: { readonly pivot: Tokenizer; readonly source: Tokenizer },
  onShard: () => void,
): Promise<WrittenAlignment> {
  const { survey, width } = plan;
  const transfer = createTransfer(plan.map, plan.pivotVocabulary.size, width);
  const wanted = exampleRows(survey.sharedRows, EXAMPLES);
  const examples: WorkedExample[] = [];
  const sums = { pivotNats: 0, sourceNats: 0, pivotBytes: 0, sourceBytes: 0, sourceBetter: 0 };
  let sharedBefore = 0;
  let index = 0;

  const addExamples = (shard: AlignedShard, pivot: Part, source: Part, shared: number): void => {
    while (examples.length < wanted.length && wanted[examples.length]! < sharedBefore + shared) {
      const row = sharedRow(shard, pivot, wanted[examples.length]! - sharedBefore);
      examples.push(
        workedExample(
          { ...pivot.side, row, tokenizer: tokenizers.pivot },
          { ...source.side, row: source.from + shard.sourceRow[row]!, tokenizer: tokenizers.source },
          shard.conversation[pivot.index]!,
          tokenMasses(tokenizers.pivot, shard.topId, shard.topLogp, row * width, width),
        ),
      );
    }
    sharedBefore += shared;
  };
  for await (const { pivot: side, find } of pairedShards(plan)) {
    const shard = emptyShard(plan, side);
    for (let n = 0; n < shard.conversation.length; n++) {
      const pivot = part(side, n);
      const source = await find(shard.conversation[n]!);
      const pivotNats = nats(pivot);
      const pivotBytes = shard.pivotBytes[n]!;
      shard.pivotNats[n] = pivotNats;
      sums.pivotNats += pivotNats;
      sums.pivotBytes += pivotBytes;
      if (source === null) continue;
      const sourceNats = nats(source);
      const sourceBytes = source.side.shard.bytes[source.index]!;
      shard.sourceNats[n] = sourceNats;
      shard.sourceBytes[n] = sourceBytes;
      sums.sourceNats += sourceNats;
      sums.sourceBytes += sourceBytes;
      if (sourceNats / sourceBytes < pivotNats / pivotBytes) sums.sourceBetter++;
      addExamples(shard, pivot, source, alignPart(plan, transfer, shard, pivot, source));
    }
    await writeAlignedShard(join(plan.out, shardName(index++)), shard);
    onShard();
  }
  return { totals: transfer.totals, examples, ...sums };
}

/** An aligned shard beside a pivot's, without any distribution yet. */
function emptyShard({ metadata, width, pivotVocabulary }: AlignmentPlan, { shard }: Side): AlignedShard {
  const rows = shard.token.length;
  const conversations = shard.conversation.length;
  return {
    metadata,
    conversation: shard.conversation,
    rowStart: shard.rowStart,
    sourceRow: new Int32Array(rows).fill(-1),
    topId: tokenIds(pivotVocabulary.size, rows * width),
    topLogp: new Uint16Array(rows * width).fill(0xfc00),
    pivotNats: new Float32Array(conversations),
    sourceNats: new Float32Array(conversations),
    pivotBytes: shard.bytes,
    sourceBytes: new Int32Array(conversations),
  };
}

/** Aligns one conversation and transfers its shared rows; returns how many there are. */
export function alignPart(
  plan: Pick<AlignmentPlan, "sequence" | "survey" | "sourceVocabulary" | "width">,
  transfer: Transfer,
  shard: Pick<AlignedShard, "sourceRow" | "topId" | "topLogp">,
  pivot: Part,
  source: Part,
): number {
  const { sourceRow, topId, topLogp } = shard;
  const { swaps } = plan.survey;
  const from = source.side.shard;
  const { topK } = from.metadata;
  const sources = new Int32Array(topK);
  const shared = plan.sequence.align(
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
    const at = (source.from + sourceRow[row]!) * topK;
    const swap = swaps.between(pivot.side, row, source.side, source.from + sourceRow[row]!);
    for (let k = 0; k < topK; k++) {
      const id = from.topId[at + k]!;
      sources[k] = swap === null ? id : swappedSource(swap, id, plan.sourceVocabulary);
    }
    transfer.row(sources, from.topLogp, at, topId, topLogp, row * plan.width);
  }
  return shared;
}

/** The source of the map for a token with another lead: special tokens keep theirs, as they have no bytes. */
function swappedSource(swap: LeadSwap, id: number, vocabulary: Vocabulary): number {
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
