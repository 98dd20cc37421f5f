/**
 * What intervals cost and whether they cover: `npm run build && node bench/statistics.mjs [time|coverage]`. Cost: the
 * bootstrap of 805 prompts, by kind of figure, and the sign-flip test. Coverage: the share of samples whose 95 %
 * interval has the truth, for figures whose truth is known, 5,000 samples each (standard error 0.35 %); two minutes.
 */

import { createRandom } from "../dist/random.js";
import { bootstrapMean, bootstrapRatio, bootstrapStatistic } from "../dist/statistics/bootstrap.js";
import { signFlipTest } from "../dist/statistics/exact.js";
import { RESAMPLES } from "../dist/statistics/interval.js";
import { pairedMeanDifference, pairedRatioDifference } from "../dist/statistics/paired.js";
import { proportionInterval } from "../dist/statistics/proportion.js";
import { median, print } from "./rounds.mjs";

const PROMPTS = 805;
const ROUNDS = 7;
const TRIALS = 5000;
/** Fewer than in use, which covers 0.1 % less, and no more of them, in turn, than draws are kept in memory. */
const TRIAL_RESAMPLES = 2000;
const TRIAL_DRAWS = 2 ** 24;

const [part] = process.argv.slice(2);
if (part !== "coverage") time();
if (part !== "time") coverage();

function time() {
  const random = createRandom("cost");
  const a = Array.from({ length: PROMPTS }, () => {
    const denominator = 20 + random.integer(400);
    return { numerator: denominator * (0.8 + 0.1 * random.normal()), denominator };
  });
  const b = a.map((term) => ({ ...term, numerator: term.numerator * (1 + 0.02 * random.normal()) }));
  const c = b.map((term) => ({ ...term, denominator: term.denominator + random.integer(9) }));
  const values = a.map(({ numerator }) => numerator);
  const others = b.map(({ numerator }) => numerator);
  const mean = (/** @type {Uint32Array} */ draw) => {
    let sum = 0;
    for (const unit of draw) sum += values[unit] ?? 0;
    return sum / draw.length;
  };
  /** @type {Record<string, (seed: string) => unknown>} */
  const figures = {
    "mean, resamples drawn": (seed) => bootstrapMean(values, `${seed} drawn`),
    "mean, resamples kept": (seed) => bootstrapMean(values, `${seed} drawn`),
    "ratio of sums": (seed) => bootstrapRatio(a, `${seed} drawn`),
    "any statistic (a mean as a function)": (seed) => bootstrapStatistic(PROMPTS, mean, `${seed} drawn`),
    "sign flips alone": (seed) => signFlipTest(a, b, seed),
    "paired means": (seed) => pairedMeanDifference(values, others, `${seed} drawn`),
    "paired ratios, equal denominators": (seed) => pairedRatioDifference(a, b, `${seed} drawn`),
    "paired ratios": (seed) => pairedRatioDifference(a, c, `${seed} drawn`),
  };
  /** @type {Record<string, number[]>} */
  const milliseconds = {};
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, run] of Object.entries(figures)) {
      const start = performance.now();
      run(`round ${round}`);
      // The first round compiles.
      if (round > 0) milliseconds[name] = [...(milliseconds[name] ?? []), performance.now() - start];
    }
  }
  console.log(`${PROMPTS} prompts, ${RESAMPLES} resamples, median of ${ROUNDS}:`);
  const units = PROMPTS * RESAMPLES;
  const shown = (/** @type {number} */ ms) => `${ms.toFixed(1)} ms, ${((1e6 * ms) / units).toFixed(2)} ns a unit`;
  print(Object.fromEntries(Object.entries(milliseconds).map(([name, all]) => [name, shown(median(all))])));
}

function coverage() {
  const options = { resamples: TRIAL_RESAMPLES };
  /** @typedef {import("../dist/random.js").Random} Random */
  const proportion = (/** @type {Random} */ random, /** @type {number} */ count, /** @type {number} */ share) =>
    Float64Array.from({ length: count }, () => (random.next() < share ? 1 : 0));
  const lengths = (/** @type {Random} */ random, /** @type {number} */ count) =>
    Array.from({ length: count }, () => {
      const denominator = Math.ceil(50 * Math.exp(0.8 * random.normal()));
      return { numerator: 0.7 * denominator + 2 * Math.sqrt(denominator) * random.normal(), denominator };
    });
  /** @type {Record<string, { truth: number, interval: (random: Random, count: number, seed: string) => { low: number, high: number } }>} */
  const cases = {
    "normal mean": {
      truth: 0,
      interval: (random, count, seed) =>
        bootstrapMean(Float64Array.from({ length: count }, random.normal), seed, options),
    },
    "lognormal mean (skewness 6)": {
      truth: Math.exp(0.5),
      interval: (random, count, seed) =>
        bootstrapMean(
          Float64Array.from({ length: count }, () => Math.exp(random.normal())),
          seed,
          options,
        ),
    },
    "proportion 0.5": {
      truth: 0.5,
      interval: (random, count, seed) => bootstrapMean(proportion(random, count, 0.5), seed, options),
    },
    "proportion 0.9": {
      truth: 0.9,
      interval: (random, count, seed) => bootstrapMean(proportion(random, count, 0.9), seed, options),
    },
    "proportion 0.5, Wilson": {
      truth: 0.5,
      interval: (random, count) =>
        proportionInterval(
          proportion(random, count, 0.5).reduce((a, b) => a + b, 0),
          count,
        ),
    },
    "proportion 0.9, Wilson": {
      truth: 0.9,
      interval: (random, count) =>
        proportionInterval(
          proportion(random, count, 0.9).reduce((a, b) => a + b, 0),
          count,
        ),
    },
    "ratio of sums (lognormal lengths)": {
      truth: 0.7,
      interval: (random, count, seed) => bootstrapRatio(lengths(random, count), seed, options),
    },
    "paired ratios": {
      truth: -0.1,
      interval: (random, count, seed) => {
        const a = lengths(random, count);
        const b = a.map(({ numerator, denominator }) => ({
          numerator: numerator + 0.1 * denominator + Math.sqrt(denominator) * random.normal(),
          denominator,
        }));
        return pairedRatioDifference(a, b, seed, { ...options, permutations: 1 });
      },
    },
  };
  console.log(`\nshare of ${TRIALS} samples whose interval has the truth, by prompts:`);
  for (const [name, { truth, interval }] of Object.entries(cases)) {
    const columns = [10, 20, 80, PROMPTS].map((count) => {
      const random = createRandom(`coverage ${name} ${count}`);
      const seeds = Math.min(100, Math.floor(TRIAL_DRAWS / (count * TRIAL_RESAMPLES)));
      let covered = 0;
      for (let trial = 0; trial < TRIALS; trial++) {
        const { low, high } = interval(random, count, `${name} ${trial % seeds}`);
        if (low <= truth && truth <= high) covered++;
      }
      return `${count}: ${((100 * covered) / TRIALS).toFixed(1)} %`;
    });
    print({ [name.padEnd(33)]: columns.join("   ") });
  }
}
