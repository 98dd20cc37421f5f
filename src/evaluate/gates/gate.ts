/**
 * Gates: what must hold of a run's figures, such as `fused.held_out < pivot.held_out, p < 0.01`. A side is a number or
 * `model.evaluation.metric` (without a metric the headline one is meant), with `+ 2` or `- 0.1` behind it where wanted;
 * `p` is that of the paired test of the two models that the line compares, on its own line that of the line before.
 * Hyphens and underscores, upper and lower case are the same in all names.
 *
 * Pure: `parse.ts` knows the names there will be, `judge.ts` is handed the figures.
 */

export interface GateVocabulary {
  /** What a gate may call each model; several words may mean one model. */
  readonly models: readonly { readonly word: string; readonly model: string }[];
  readonly evaluations: readonly {
    readonly name: string;
    /** The headline metric. */
    readonly metric: string;
    /** All metrics, without what follows a `/`; absent where that is not known before. */
    readonly metrics?: readonly string[];
    /** Models that it evaluates. */
    readonly models: readonly string[];
  }[];
}

export interface FigureTerm {
  readonly kind: "figure";
  readonly model: string;
  readonly evaluation: string;
  readonly metric: string;
  /** Added to the figure, in its unit. */
  readonly offset: number;
}

export type GateTerm = FigureTerm | { readonly kind: "number"; readonly value: number };

export type Relation = "<" | "<=" | ">" | ">=";

export interface Gate {
  readonly text: string;
  readonly left: GateTerm;
  readonly relation: Relation;
  readonly right: GateTerm;
  /** What the paired test of the two models must give. */
  readonly p: { readonly relation: "<" | "<="; readonly value: number } | null;
}

export interface GateProblem {
  /** Which of the texts. */
  readonly index: number;
  readonly message: string;
}

/** What two spellings of one name have in common. */
export function plainName(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}
