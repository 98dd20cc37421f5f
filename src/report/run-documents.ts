/**
 * The documents of a run directory as the report reads them: of each the part that it shows, checked, because files
 * may have been cut or edited since they were written.
 */
import { z } from "zod";
import type { AlignmentSummary } from "../align/report.ts";
import type { LeftOut } from "../data/irregular.ts";
import type { LogLine as FullLogLine } from "../fuse/journal.ts";
import type { MergeRecord } from "../merge/record.ts";
import type { BenchmarkComparison as FullComparison, ComparedModel as FullModel } from "../recipe/results.ts";

export type Metric = Pick<FullModel["metrics"][string], "value" | "low" | "high" | "unit">;
export type ComparedModel = Pick<FullModel, "name" | "role" | "prompts" | "refused" | "unparsed" | "empty" | "cut"> & {
  readonly metrics: Readonly<Record<string, Metric>>;
};
type FullDifference = FullComparison["comparisons"][number]["metrics"][string];
export type Difference = Metric &
  Pick<FullDifference, "p"> & {
    /** Of the headline metric alone, over all pairs of the table; the correction is Holm's. */
    readonly verdict?: FullDifference["verdict"] | undefined;
    readonly p_adjusted?: number | undefined;
    /** The smallest difference that so many prompts would have shown. */
    readonly detectable?: number | undefined;
  };
export interface Comparison {
  readonly model: string;
  readonly against: string;
  readonly metrics: Readonly<Record<string, Difference>>;
}
/** `evaluate/<name>.json`. */
export type BenchmarkComparison = Pick<FullComparison, "benchmark" | "name" | "metric" | "better" | "reference"> & {
  readonly models: readonly ComparedModel[];
  readonly comparisons: readonly Comparison[];
};

const metric = { value: z.number(), low: z.number(), high: z.number(), unit: z.string() };
export const comparisonDocument: z.ZodType<BenchmarkComparison> = z.object({
  benchmark: z.string(),
  name: z.string(),
  metric: z.string(),
  better: z.enum(["less", "more"]),
  reference: z.string().nullable(),
  models: z.array(
    z.object({
      name: z.string(),
      role: z.enum(["pivot", "source", "target", "fused", "merge", "baseline", "model"]),
      prompts: z.number(),
      refused: z.number(),
      unparsed: z.number(),
      empty: z.number(),
      cut: z.number(),
      metrics: z.record(z.string(), z.object(metric)),
    }),
  ),
  comparisons: z.array(
    z.object({
      model: z.string(),
      against: z.string(),
      metrics: z.record(
        z.string(),
        z.object({
          ...metric,
          p: z.number(),
          p_adjusted: z.number().optional(),
          detectable: z.number().optional(),
          verdict: z.enum(["better", "worse", "within noise"]).optional(),
        }),
      ),
    }),
  ),
});

/** What a recipe demands of its evaluation, and what came of it. */
export interface Gates {
  readonly gates: readonly { readonly gate: string; readonly met: boolean; readonly figures: string }[];
}

export const gatesDocument: z.ZodType<Gates> = z.object({
  gates: z.array(z.object({ gate: z.string(), met: z.boolean(), figures: z.string() })),
});

/** Records that the run has left out of its data. */
export const leftOutDocument: z.ZodType<{ readonly left_out: readonly LeftOut[] }> = z.object({
  left_out: z.array(z.object({ reason: z.string(), count: z.number(), file: z.string(), place: z.string() })),
});

export interface AnswersCard {
  readonly prompts: number;
  readonly unanswered: number;
  readonly records: number;
  readonly settings: { readonly select: string; readonly keep: string };
  readonly sources: readonly {
    readonly name: string;
    readonly drawn: number;
    readonly empty: number;
    readonly refused: number;
    readonly cut: number;
    readonly duplicates: number;
    readonly selected: number;
    readonly wins: number;
    readonly mean_bytes: number;
  }[];
}

/** Of the answers that a run trains on. */
export const answersCardDocument: z.ZodType<AnswersCard> = z.object({
  prompts: z.number(),
  unanswered: z.number(),
  records: z.number(),
  settings: z.object({ select: z.string(), keep: z.string() }),
  sources: z.array(
    z.object({
      name: z.string(),
      drawn: z.number(),
      empty: z.number(),
      refused: z.number(),
      cut: z.number(),
      duplicates: z.number(),
      selected: z.number(),
      wins: z.number(),
      mean_bytes: z.number(),
    }),
  ),
});

export interface Plan {
  readonly recipe: {
    readonly pivot: { readonly name: string };
    readonly sources: readonly { readonly name: string }[];
  };
  readonly models: readonly {
    readonly name: string;
    readonly role: string;
    readonly architecture: string;
    readonly parameters: number | null;
  }[];
}

export const planDocument: z.ZodType<Plan> = z.object({
  recipe: z.object({ pivot: z.object({ name: z.string() }), sources: z.array(z.object({ name: z.string() })) }),
  models: z.array(
    z.object({ name: z.string(), role: z.string(), architecture: z.string(), parameters: z.number().nullable() }),
  ),
});

export type LogLine = Pick<FullLogLine, "step" | "label_loss" | "fusion_loss" | "lr" | "rows">;

export const logLine: z.ZodType<LogLine> = z.object({
  step: z.number(),
  label_loss: z.number(),
  fusion_loss: z.number(),
  lr: z.number(),
  rows: z.number(),
});

type TokenMass = Pick<AlignmentSummary["examples"][number]["stored"][number], "text" | "probability">;
export interface PassageToken {
  readonly text: string;
  readonly byte_start: number;
  readonly byte_end: number;
}
export interface Passage {
  readonly conversation: number;
  readonly turn: number;
  readonly text: string;
  readonly pivot: readonly PassageToken[];
  readonly source: readonly PassageToken[];
  readonly shared: readonly {
    readonly pivot: number;
    readonly source: number;
    readonly went: readonly (TokenMass & { readonly places: readonly TokenMass[] })[];
  }[];
}
export interface MappedPair {
  readonly text: string;
  readonly mass: number;
  readonly mass_moved: number;
  readonly places: readonly { readonly text: string; readonly mass: number }[];
  readonly further_places: number;
}
/** Where the mass goes, and passages: absent from alignments of earlier versions. */
interface AlignmentViews {
  readonly mass_to_equal_bytes?: number | undefined;
  readonly mass_to_other_bytes?: number | undefined;
  readonly mass_to_end_of_turn?: number | undefined;
  readonly mapped_pairs?: readonly MappedPair[] | undefined;
  readonly passages?: readonly Passage[] | undefined;
  readonly label_mass?: string | undefined;
  readonly divide?: string | undefined;
  readonly within?: string | undefined;
}
export type Alignment = Pick<
  AlignmentSummary,
  | "vocabulary"
  | "conversations"
  | "source_better_conversations"
  | "rows"
  | "shared_rows"
  | "mass_stored"
  | "mass_kept"
  | "mass_lost"
  | "mass_cut"
  | "strategies"
> &
  AlignmentViews & {
    readonly examples: readonly {
      readonly pivot: { readonly text: string };
      readonly source: { readonly text: string };
      readonly stored: readonly TokenMass[];
      readonly mapped: readonly TokenMass[];
    }[];
  };

const text = z.object({ text: z.string() });
const tokenMass = z.object({ text: z.string(), probability: z.number() });
const masses = z.array(tokenMass);
const index = z.number().int().nonnegative();
const passageTokens = z.array(z.object({ text: z.string(), byte_start: index, byte_end: index }));
const passage: z.ZodType<Passage> = z
  .object({
    conversation: z.number(),
    turn: z.number(),
    text: z.string(),
    pivot: passageTokens,
    source: passageTokens,
    shared: z.array(z.object({ pivot: index, source: index, went: z.array(tokenMass.extend({ places: masses })) })),
  })
  .refine(
    ({ pivot, source, shared }) => shared.every((row) => row.pivot < pivot.length && row.source < source.length),
    "a shared row names a token that is not in the passage",
  );
export const alignmentDocument: z.ZodType<Alignment> = z.object({
  vocabulary: z.string(),
  label_mass: z.string().optional(),
  divide: z.string().optional(),
  within: z.string().optional(),
  conversations: z.number(),
  source_better_conversations: z.number(),
  rows: z.number(),
  shared_rows: z.number(),
  mass_stored: z.number(),
  mass_kept: z.number(),
  mass_lost: z.number(),
  mass_cut: z.number(),
  mass_to_equal_bytes: z.number().optional(),
  mass_to_other_bytes: z.number().optional(),
  mass_to_end_of_turn: z.number().optional(),
  strategies: z.record(
    z.string(),
    z.object({ tokens: z.number(), placed_tokens: z.number(), mass_kept: z.number(), mass_lost: z.number() }),
  ),
  mapped_pairs: z
    .array(
      z.object({
        text: z.string(),
        mass: z.number(),
        mass_moved: z.number(),
        places: z.array(z.object({ text: z.string(), mass: z.number() })),
        further_places: z.number(),
      }),
    )
    .optional(),
  examples: z.array(z.object({ pivot: text, source: text, stored: masses, mapped: masses })),
  passages: z.array(passage).optional(),
});

export interface Merge {
  readonly method: string;
  readonly config: { readonly parameters?: Readonly<Record<string, unknown>> | undefined };
  readonly models: readonly { readonly model: string }[];
  readonly tensors: readonly (Pick<MergeRecord["tensors"][number], "name" | "layer" | "matrix"> & {
    readonly models?: readonly string[] | undefined;
    readonly coefficients?: readonly number[] | undefined;
  })[];
}

export const mergeDocument: z.ZodType<Merge> = z.object({
  method: z.string(),
  config: z.object({ parameters: z.record(z.string(), z.unknown()).optional() }),
  models: z.array(z.object({ model: z.string() })),
  tensors: z.array(
    z.object({
      name: z.string(),
      layer: z.number().nullable(),
      matrix: z.string(),
      models: z.array(z.string()).optional(),
      coefficients: z.array(z.number()).optional(),
    }),
  ),
});

export interface UnitTime {
  readonly unit: string;
  readonly seconds: number;
}

export const unitTime: z.ZodType<UnitTime> = z.object({ unit: z.string(), seconds: z.number() });

/** What a run says of its own evaluation, such as on which draw its settings were chosen: a sentence each. */
export const notesDocument: z.ZodType<{ readonly notes: readonly string[] }> = z.object({ notes: z.array(z.string()) });
