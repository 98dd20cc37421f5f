/** `alignment.json`: what an alignment shared, kept and lost, for every strategy, and worked examples. */
import { emptyTable } from "../table.ts";
import type { WorkedExample } from "./examples/examples.ts";
import type { Destinations } from "./examples/mapped-pairs.ts";
import type { Passage } from "./examples/passages.ts";
import type { AlignedMetadata } from "./shard.ts";
import type { Survey } from "./survey.ts";
import type { PlacedMass } from "./vocabulary-map.ts";
import type { WrittenAlignment } from "./write-folder.ts";

/** What a strategy does with the stored mass; masses are means over the shared rows. */
export interface StrategyFigures {
  /** Source tokens that occur in shared rows, and how many of them have a place. */
  readonly tokens: number;
  readonly placed_tokens: number;
  readonly mass_kept: number;
  readonly mass_lost: number;
}

export interface AlignmentSummary extends AlignedMetadata, Destinations {
  readonly top_k: number;
  readonly width: number;
  readonly conversations: number;
  /** Conversations that the source has too. */
  readonly shared_conversations: number;
  /** Conversations that the source predicts in fewer nats per byte. */
  readonly source_better_conversations: number;
  readonly pivot_nats_per_byte: number;
  /** Over the conversations it has; null where they have no bytes. */
  readonly source_nats_per_byte: number | null;
  readonly rows: number;
  readonly shared_rows: number;
  readonly unshared_rows: number;
  /** Of these the ones within a token of the source that have its distribution given what was read. */
  readonly rows_within_tokens?: number;
  readonly shared_rows_with_different_leads: number;
  readonly shared_rows_without_mass: number;
  /** Means over the shared rows: the source's top-K, what of it has a place, what has none, what the width cut off. */
  readonly mass_stored: number;
  readonly mass_kept: number;
  readonly mass_lost: number;
  readonly mass_cut: number;
  readonly strategies: Readonly<Record<string, StrategyFigures>>;
  readonly examples: readonly WorkedExample[];
  readonly passages: readonly Passage[];
}

/** The numbers alone, without what is there for people to look at. */
export function alignmentFigures({
  examples: _examples,
  passages: _passages,
  mapped_pairs: _pairs,
  ...figures
}: AlignmentSummary): Omit<AlignmentSummary, "examples" | "passages" | "mapped_pairs"> {
  return figures;
}

export function summarise(
  settings: Pick<
    AlignmentSummary,
    "pivot" | "source" | "sequence" | "vocabulary" | "label_mass" | "divide" | "within" | "width"
  >,
  topK: number,
  survey: Survey,
  placed: ReadonlyMap<string, PlacedMass>,
  { mapped_pairs, ...destinations }: Destinations,
  written: WrittenAlignment,
): AlignmentSummary {
  const { totals } = written;
  const mean = (sum: number): number => sum / Math.max(1, survey.sharedRows);
  const strategies: Record<string, StrategyFigures> = emptyTable();
  for (const [name, { tokens, placedTokens, mass }] of placed) {
    strategies[name] = {
      tokens,
      placed_tokens: placedTokens,
      mass_kept: mean(mass),
      // Rounding must not make less than nothing of it.
      mass_lost: Math.max(0, mean(survey.storedMass - mass)),
    };
  }
  const { pivot, source, sequence, vocabulary, label_mass, divide, within, width } = settings;
  return {
    pivot,
    source,
    sequence,
    vocabulary,
    ...(label_mass !== undefined && { label_mass }),
    ...(divide !== undefined && { divide }),
    ...(within !== undefined && { within }),
    top_k: topK,
    width,
    conversations: survey.conversations,
    shared_conversations: survey.sharedConversations,
    source_better_conversations: written.sourceBetter,
    pivot_nats_per_byte: written.pivotNats / Math.max(1, written.pivotBytes),
    source_nats_per_byte: written.sourceBytes === 0 ? null : written.sourceNats / written.sourceBytes,
    rows: survey.rows,
    shared_rows: survey.sharedRows,
    unshared_rows: survey.rows - survey.sharedRows,
    ...(within !== undefined && { rows_within_tokens: written.withinRows }),
    shared_rows_with_different_leads: survey.differentLeads,
    shared_rows_without_mass: totals.emptyRows,
    mass_stored: mean(totals.stored),
    mass_kept: mean(totals.placed),
    mass_lost: Math.max(0, mean(totals.stored - totals.placed)),
    mass_cut: mean(totals.cut),
    ...destinations,
    strategies,
    mapped_pairs,
    examples: written.examples,
    passages: written.passages,
  };
}
