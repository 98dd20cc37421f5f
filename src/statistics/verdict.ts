/**
 * What differences show: better, worse, or within noise. Both must agree: the interval, which with a handful of
 * prompts is too narrow, and p, which then cannot be small. In a table of many pairs some p are small by chance alone,
 * so there the verdict goes by Holm's adjusted p: `verdicts` takes all the differences of a table at once.
 */
import { holm } from "./holm.ts";
import { type PairedDifference, SIGNIFICANCE } from "./interval.ts";

export type Verdict = "better" | "worse" | "within noise";

/** The verdict on one difference that stands alone. `better`: which way the figure is better. */
export function verdict(difference: PairedDifference, better: "less" | "more"): Verdict {
  return verdictAt(difference.p, difference, better);
}

/** The verdict on each difference of a table, and its p adjusted for the others. */
export function verdicts(
  table: readonly PairedDifference[],
  better: "less" | "more",
): { p_adjusted: number; verdict: Verdict }[] {
  const adjusted = holm(table.map(({ p }) => p));
  return table.map((difference, i) => ({
    p_adjusted: adjusted[i]!,
    verdict: verdictAt(adjusted[i]!, difference, better),
  }));
}

function verdictAt(p: number, { low, high }: PairedDifference, better: "less" | "more"): Verdict {
  if (!(p < SIGNIFICANCE)) return "within noise";
  if (high < 0) return better === "less" ? "better" : "worse";
  if (low > 0) return better === "more" ? "better" : "worse";
  return "within noise";
}
