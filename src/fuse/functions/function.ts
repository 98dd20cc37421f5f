/**
 * What a fusion function is: a rule that says how much of a row's target comes from the pivot and how much from each
 * source. Adding one is one file that exports a `FusionFunction`, and one line in `index.ts`.
 */

/** What a text costs the models: the pivot first, then the sources. */
export interface Costs {
  /**
   * Nats per byte of a conversation, or of all those like it (`level: conversation`, `group`), or nats of one label
   * (`level: row`). Null where a source has not read it; the pivot always has.
   */
  readonly nats: readonly (number | null)[];
  /** Bytes of a row of the pivot in the mean, which make nats per byte nats per token; 1 where nats are of one label. */
  readonly bytesPerRow: number;
}

export interface FusionFunction {
  readonly name: string;
  /** One line for lists. */
  readonly summary: string;
  readonly paper: string;
  /** True where several models have a share at once: a target then has room for all their distributions. */
  readonly blends: boolean;
  /** Each model's share of the target, 0 to 1, which add up to 1; 0 for a source whose cost is null. */
  shares(costs: Costs): number[];
}

/** All of the target from one of the models. */
export function allFrom(model: number, { nats }: Costs): number[] {
  return nats.map((_, index) => (index === model ? 1 : 0));
}

/** The first of the models from `first` on with the lowest cost; -1 where none of them has read it. */
export function cheapest({ nats }: Costs, first: number): number {
  let best = -1;
  for (let model = first; model < nats.length; model++) {
    const cost = nats[model] ?? null;
    if (cost !== null && (best < 0 || cost < nats[best]!)) best = model;
  }
  return best;
}
