/** The second walk over an alignment: every row of the pivot gets its distribution, one aligned shard at a time. */
import { join } from "node:path";
import { shardName } from "../distributions/folder.ts";
import { tokenIds } from "../distributions/shard-file.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { exampleRows, tokenMasses, type WorkedExample, workedExample } from "./examples.ts";
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

  for await (const { pivot, find } of pairedShards(plan)) {
    const shard = emptyShard(plan, pivot);
    for (let n = 0; n < shard.conversation.length; n++) {
      const here = part(pivot, n);
      const there = await find(shard.conversation[n]!);
      const pivotNats = nats(here);
      shard.pivotNats[n] = pivotNats;
      sums.pivotNats += pivotNats;
      sums.pivotBytes += shard.pivotBytes[n]!;
      if (there === null) continue;
      const sourceNats = nats(there);
      shard.sourceNats[n] = sourceNats;
      shard.sourceBytes[n] = there.side.shard.bytes[there.index]!;
      sums.sourceNats += sourceNats;
      sums.sourceBytes += shard.sourceBytes[n]!;
      if (sourceNats / shard.sourceBytes[n]! < pivotNats / shard.pivotBytes[n]!) sums.sourceBetter++;
      const shared = alignPart(plan, transfer, shard, here, there);
      while (examples.length < wanted.length && wanted[examples.length]! < sharedBefore + shared) {
        const row = sharedRow(shard, here, wanted[examples.length]! - sharedBefore);
        examples.push(
          workedExample(
            { side: pivot, row, tokenizer: tokenizers.pivot, conversation: shard.conversation[n]! },
            { side: there.side, row: there.from + shard.sourceRow[row]!, tokenizer: tokenizers.source },
            tokenMasses(tokenizers.pivot, shard.topId, shard.topLogp, row * width, width),
          ),
        );
      }
      sharedBefore += shared;
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
    if (swap === null) for (let k = 0; k < topK; k++) sources[k] = from.topId[at + k]!;
    else
      for (let k = 0; k < topK; k++)
        sources[k] = swappedSource(swap.textOf, from.topId[at + k]!, plan.sourceVocabulary);
    transfer.row(sources, from.topLogp, at, topId, topLogp, row * plan.width);
  }
  return shared;
}

/** The source of the map for a token with another lead: special tokens keep theirs, as they have no bytes. */
function swappedSource(textOf: (id: number) => number, id: number, vocabulary: Vocabulary): number {
  if (vocabulary.special[id] === 1) return id;
  const text = textOf(id);
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
