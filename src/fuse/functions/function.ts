/**
 * What a fusion function is: a rule that says how much of a row's target comes from the source and how much from the
 * pivot. Adding one is one file that exports a `FusionFunction`, and one line in `index.ts`.
 */
export interface FusionFunction {
  readonly name: string;
  /** One line for lists. */
  readonly summary: string;
  readonly paper: string;
  /** True where shares strictly between 0 and 1 occur: a target then has room for both distributions. */
  readonly blends: boolean;
  /**
   * The source's share of the target, 0 to 1, given what the gold text costs each model, in nats: per byte of a
   * conversation (`level: conversation`) or for one label (`level: row`). Only called where the source has read it.
   */
  sourceShare(pivotNats: number, sourceNats: number): number;
}
