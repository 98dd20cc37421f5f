/**
 * The interval of a share of prompts, by Wilson's score ("Probable inference, the law of succession, and statistical
 * inference", JASA 1927; recommended for small samples by Brown, Cai and DasGupta, Statistical Science 2001). A share
 * allows no good bootstrap: resamples of 20 right answers of 20 are 20 of 20, an interval of no width.
 */
import { type Interval, SIGNIFICANCE } from "./interval.ts";
import { normalQuantile } from "./normal.ts";

/** `successes` of `count` as a share, 0 to 1, and its interval, which has a width at 0 and 1 too. */
export function proportionInterval(successes: number, count: number): Interval {
  const share = successes / count;
  const z = normalQuantile(1 - SIGNIFICANCE / 2);
  const centre = (share + z ** 2 / (2 * count)) / (1 + z ** 2 / count);
  const half = (z * Math.sqrt((share * (1 - share) + z ** 2 / (4 * count)) / count)) / (1 + z ** 2 / count);
  return { value: share, low: Math.min(share, centre - half), high: Math.max(share, centre + half) };
}
