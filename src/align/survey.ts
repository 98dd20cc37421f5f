/**
 * The first walk over an alignment, before any map exists: it aligns the rows, counts which tokens begin together,
 * and adds up the mass that each source token has in the shared rows, so that maps are built for the tokens that
 * occur and every strategy can be judged by the mass that it places.
 */
import { massTable } from "../distributions/shard-columns.ts";
import { inputError } from "../errors.ts";
import { type CoStarts, createCoStartCounter } from "./co-starts.ts";
import { createLeadSwaps, type LeadSwaps } from "./leads.ts";
import { checkSameConversation, type FolderPair, type Part, pairedShards, part, type Side } from "./paired-folders.ts";
import type { SequenceAlignment } from "./sequence.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface Survey {
  /** Conversations of the pivot, and how many of them the source has too. */
  readonly conversations: number;
  readonly sharedConversations: number;
  /** Rows of the pivot, and how many of them begin where a row of the source does. */
  readonly rows: number;
  readonly sharedRows: number;
  /** Shared rows whose labels have different leads. */
  readonly differentLeads: number;
  readonly counts: CoStarts;
  /** [source vocabulary] summed mass in shared rows with equal leads. */
  readonly tokenMass: Float64Array;
  readonly swaps: LeadSwaps;
  /** Summed mass of each text of `swaps`. */
  readonly textMass: readonly number[];
  /** Summed mass of all shared rows. */
  readonly storedMass: number;
  /** The label of end-of-turn rows: the most frequent one of the pivot (-1: none), and all of the source. */
  readonly pivotEndOfTurn: number;
  readonly sourceEndOfTurn: readonly number[];
}

/** Walks both folders once; `onShard` is called after each shard of the pivot. */
export async function surveyFolders(
  pair: FolderPair,
  sequence: SequenceAlignment,
  onShard: () => void,
): Promise<Survey> {
  const { pivotVocabulary, sourceVocabulary } = pair;
  const masses = massTable();
  const counter = createCoStartCounter();
  const swaps = createLeadSwaps(pivotVocabulary, sourceVocabulary);
  const tokenMass = new Float64Array(sourceVocabulary.size);
  const textMass: number[] = [];
  const pivotLabels = new Map<number, number>();
  const sourceLabels = new Map<number, number>();
  const figures = { conversations: 0, sharedConversations: 0, rows: 0, sharedRows: 0, differentLeads: 0 };
  let storedMass = 0;
  let aligned = new Int32Array(0);

  const addPart = (pivot: Part, source: Part): void => {
    figures.sharedRows += sequence.align(
      pivot.side.spans,
      pivot.from,
      pivot.to,
      source.side.spans,
      source.from,
      source.to,
      aligned,
    );
    const { topId, topLogp, token, metadata } = source.side.shard;
    for (let row = pivot.from; row < pivot.to; row++) {
      if (aligned[row] === -1) continue;
      const sourceRow = source.from + aligned[row]!;
      if (coversItself(pivot.side, row, pivotVocabulary) && coversItself(source.side, sourceRow, sourceVocabulary)) {
        counter.add(token[sourceRow]!, pivot.side.shard.token[row]!);
      }
      const swap = swaps.between(pivot.side, row, source.side, sourceRow);
      if (swap !== null) figures.differentLeads++;
      const at = sourceRow * metadata.topK;
      for (let k = at; k < at + metadata.topK; k++) {
        const mass = masses[topLogp[k]! & 0x7fff]!;
        if (mass === 0) break;
        storedMass += mass;
        const id = topId[k]!;
        if (swap === null || sourceVocabulary.special[id] === 1) {
          tokenMass[id]! += mass;
          continue;
        }
        const text = swap.textOf(id);
        if (text >= 0) textMass[text] = (textMass[text] ?? 0) + mass;
      }
    }
  };

  for await (const { pivot, find } of pairedShards(pair)) {
    if (aligned.length < pivot.shard.token.length) aligned = new Int32Array(pivot.shard.token.length);
    figures.rows += pivot.shard.token.length;
    for (let n = 0; n < pivot.shard.conversation.length; n++) {
      figures.conversations++;
      const here = part(pivot, n);
      countEndOfTurn(here, pivotLabels);
      const there = await find(pivot.shard.conversation[n]!);
      if (there === null) continue;
      figures.sharedConversations++;
      countEndOfTurn(there, sourceLabels);
      checkSameConversation(here, there);
      addPart(here, there);
    }
    onShard();
  }
  if (figures.sharedConversations === 0) {
    throw inputError(pair.source, `has none of the conversations of ${pair.pivot}; both must come from the same data`);
  }
  return {
    ...figures,
    counts: counter.counts(sourceVocabulary.size),
    tokenMass,
    swaps,
    textMass,
    storedMass,
    pivotEndOfTurn: mostFrequent(pivotLabels),
    sourceEndOfTurn: [...sourceLabels.keys()].sort((a, b) => a - b),
  };
}

/** True where a row's span is exactly its label's own bytes: no lead, no special token, nothing cut off. */
function coversItself({ shard }: Side, row: number, vocabulary: Vocabulary): boolean {
  const length = shard.byteEnd[row]! - shard.byteStart[row]!;
  return shard.lead[row] === 0 && length === vocabulary.byteLength[shard.token[row]!];
}

function countEndOfTurn({ side, from, to }: Part, labels: Map<number, number>): void {
  for (let row = from; row < to; row++) {
    if (side.spans.endOfTurn[row] === 0) continue;
    const label = side.shard.token[row]!;
    labels.set(label, (labels.get(label) ?? 0) + 1);
  }
}

/** Ties go to the lowest id. */
function mostFrequent(labels: ReadonlyMap<number, number>): number {
  let best = -1;
  for (const [label, count] of labels) {
    const lead = best === -1 ? 1 : count - labels.get(best)!;
    if (lead > 0 || (lead === 0 && label < best)) best = label;
  }
  return best;
}
