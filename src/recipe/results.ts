/**
 * What `evaluate/held-out.json` of a run holds: every model's figures side by side, and the paired comparisons that a
 * reader wants: each model against the pivot, and the fused model against every other model that the run made.
 */
import type { Comparison, Metric } from "../evaluate/benchmarks/benchmark.ts";
import { compareHeldOut } from "../evaluate/benchmarks/held-out-comparison.ts";
import type { HeldOutResult } from "../evaluate/benchmarks/held-out-result.ts";
import type { RunModel, RunModelRole } from "./layout.ts";

export interface ComparedModel {
  readonly name: string;
  readonly role: RunModelRole;
  /** The source that a target was fused with. */
  readonly source?: string;
  readonly conversations: number;
  /** Conversations that the model's template refuses. */
  readonly refused: number;
  /** `nats_per_byte`, `above_floor` where the floor is known, and both `/<skill>`. */
  readonly metrics: Readonly<Record<string, Metric>>;
}

export interface HeldOutComparison {
  readonly benchmark: "held-out";
  /** Pivot, sources, targets, fused, further merges, baselines. */
  readonly models: readonly ComparedModel[];
  /** `metrics` are differences `model - against`; negative is better for `model`. */
  readonly comparisons: readonly Comparison[];
}

/** `results` are the models' own, in the same order. */
export function compareModels(models: readonly RunModel[], results: readonly HeldOutResult[]): HeldOutComparison {
  const compared = models.map(({ name, role, source }, index): ComparedModel => {
    const { metrics, conversations, refused } = results[index]!;
    return { name, role, ...(source === undefined ? {} : { source }), conversations, refused, metrics };
  });
  const resultOf = (role: RunModelRole): HeldOutResult | undefined =>
    results[models.findIndex((model) => model.role === role)];
  const pivot = resultOf("pivot");
  const fused = resultOf("fused");
  const comparisons: Comparison[] = [];
  for (const [index, { role }] of models.entries()) {
    if (pivot !== undefined && role !== "pivot") comparisons.push(compareHeldOut(results[index]!, pivot));
  }
  for (const [index, { role }] of models.entries()) {
    if (fused !== undefined && role !== "pivot" && role !== "fused")
      comparisons.push(compareHeldOut(fused, results[index]!));
  }
  return { benchmark: "held-out", models: compared, comparisons };
}
