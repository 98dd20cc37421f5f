/**
 * What the demonstration demands of itself. A check compares measured figures with what must hold whatever the models
 * are like, and with the one promise that fusion makes here: to beat the pivot. Whether fusion beats fine-tuning is a
 * finding, not a check: it is reported whichever way it goes.
 */
import type { AlignmentSummary } from "../align/report.ts";
import type { Difference, Metric } from "../evaluate/benchmarks/benchmark.ts";

export interface Check {
  readonly name: string;
  readonly passed: boolean;
  /** The figures it rests on. */
  readonly detail: string;
}

export interface MeasuredModel {
  readonly name: string;
  readonly role: string;
  readonly metrics: Readonly<Record<string, Metric>>;
}

/** Means of float16 log-probabilities over rows: what is kept, lost and cut may miss the stored mass by this much. */
const MASS_TOLERANCE = 1e-3;

export function checkModels(models: readonly MeasuredModel[]): Check[] {
  const broken = models.filter(({ metrics }) => !Object.values(metrics).every(({ value }) => Number.isFinite(value)));
  const below = models.flatMap(({ name, metrics }) =>
    Object.entries(metrics)
      .filter(([metric, { high }]) => metric === "above_floor" && high < 0)
      .map(([, { value }]) => `${name} ${value.toFixed(4)}`),
  );
  return [
    {
      name: "every figure of every model is finite",
      passed: broken.length === 0,
      detail: broken.length === 0 ? `${models.length} models` : broken.map(({ name }) => name).join(", "),
    },
    {
      name: "no model is below the entropy floor beyond noise",
      passed: below.length === 0,
      detail: below.length === 0 ? "every interval reaches the floor or lies above it" : below.join(", "),
    },
  ];
}

export function checkAlignment(alignment: AlignmentSummary): Check[] {
  const share = alignment.shared_rows / alignment.rows;
  const { mass_stored: stored, mass_kept: kept, mass_lost: lost, mass_cut: cut } = alignment;
  const difference = Math.abs(stored - kept - lost - cut);
  return [
    {
      name: `alignment with ${alignment.source} shares most rows`,
      passed: share > 0.5,
      detail: `${alignment.shared_rows} of ${alignment.rows} rows (${(100 * share).toFixed(1)} %)`,
    },
    {
      name: `the mass of ${alignment.source} adds up`,
      passed: difference < MASS_TOLERANCE && stored <= 1 + MASS_TOLERANCE,
      detail: `stored ${stored.toFixed(4)} = kept ${kept.toFixed(4)} + lost ${lost.toFixed(4)} + cut ${cut.toFixed(4)}`,
    },
  ];
}

/** `difference`: nats per byte of the fused model minus those of the pivot. */
export function checkFusion(difference: Difference): Check {
  return {
    name: "the fused model beats the pivot, interval off zero",
    passed: difference.high < 0,
    detail: `${difference.value.toFixed(4)} [${difference.low.toFixed(4)}, ${difference.high.toFixed(4)}] nats/byte`,
  };
}
