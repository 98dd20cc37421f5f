/**
 * AlpacaEval 2.0's figures beside the leaderboard's: where its solver stops and how far that is from the optimum; how
 * much the quick refits of the bootstrap, and the comparison by contributions, differ from fits of everything; and what
 * scoring 805 annotations takes, the whole command with its 10,000 resamples.
 *
 *   node bench/alpaca-eval.mjs [exact resamples] [whole resamples]
 *
 * Needs ../shared (preferences and tables that are not ours to copy) and the built program. About two minutes.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { lengthContributions } from "../dist/evaluate/benchmarks/alpaca-eval/length-influence.js";
import {
  fitLengthModel,
  lengthControlledWinRate,
  preferenceAtEqualLength,
} from "../dist/evaluate/benchmarks/alpaca-eval/length-model.js";
import { createLengthRefit } from "../dist/evaluate/benchmarks/alpaca-eval/length-refit.js";
import { readLengthTables } from "../dist/evaluate/benchmarks/alpaca-eval/length-tables.js";
import { fitToOptimum, objective } from "../dist/evaluate/benchmarks/alpaca-eval/logistic-optimum.js";
import { bootstrapStatistic } from "../dist/statistics/bootstrap.js";
import { quantile } from "../dist/statistics/interval.js";
import { resampledUnits } from "../dist/statistics/resamples.js";

const data = resolve(import.meta.dirname, "../../shared/data/alpaca_eval_2");
if (!existsSync(data)) {
  console.log(`skipped: ${data} is not there`);
  process.exit(0);
}
const exactResamples = Number(process.argv[2] ?? 1000);
const wholeResamples = Number(process.argv[3] ?? 100);
const RESAMPLES = 10_000;
const SEED = "alpaca-eval";

const difficultyPath = join(data, "instruction_difficulty.csv");
const gamedPath = join(data, "df_gamed.csv");
const tables = await readLengthTables(difficultyPath, gamedPath);
const expected = JSON.parse(readFileSync(join(data, "expected.json"), "utf8")).models;
const models = readFileSync(join(data, "preferences.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => {
    const { model, preference, len_1, len_2 } = JSON.parse(line);
    const rows = preference.map((found, index) => ({
      index,
      preference: (found === 0 ? 1.5 : found) - 1,
      length: len_2[index],
      baselineLength: len_1[index],
    }));
    return { model, rows, fitted: fitLengthModel(tables, rows), ...expected.find((one) => one.model === model) };
  });

console.log("Length-controlled win rate, percent. Objective: above the optimum, at the same C.");
table(
  ["model", "C", "published", "recomputed", "here", "- published", "optimum", "- here", "objective here", "recomputed"],
  models.map(({ model, fitted, published, recomputed }) => {
    const here = lengthControlledWinRate(fitted, fitted.theta);
    const optimum = lengthControlledWinRate(fitted, fitted.optimum);
    const least = objective(fitted.problem, fitted.cost, fitted.optimum);
    const above = (theta) => (objective(fitted.problem, fitted.cost, theta) - least).toExponential(1);
    // Recomputed with another C, its objective is another's.
    const sameCost = Math.abs(recomputed.C / fitted.cost - 1) < 1e-9;
    return [
      model,
      fitted.cost.toPrecision(3),
      published.length_controlled_winrate.toFixed(4),
      recomputed.length_controlled_winrate.toFixed(4),
      here.toFixed(4),
      (here - published.length_controlled_winrate).toExponential(1),
      optimum.toFixed(4),
      (optimum - here).toFixed(4),
      above(fitted.theta),
      sameCost ? above(Float64Array.from(recomputed.coef)) : `C ${recomputed.C.toPrecision(3)}`,
    ];
  }),
);

console.log(`\nThe bootstrap's quick refits: against fits from nothing (${exactResamples}), and against the whole`);
console.log(
  `procedure (${wholeResamples}: lengths scaled and C chosen again, liblinear's stop). Points of a win rate.`,
);
table(
  ["model", "interval", "exact ends moved", "exact rms", "worst", "whole rms", "whole mean", "sd", "published se"],
  models.map(({ model, rows, fitted, published }) => {
    const refit = createLengthRefit(fitted);
    const { low, high } = bootstrapStatistic(rows.length, refit, SEED);
    const quick = draws(rows.length, exactResamples).map(refit);
    const exact = draws(rows.length, exactResamples).map((draw) => exactly(fitted, draw));
    const ends = [0.025, 0.975].map((q) => quantile(ascending(exact), q) - quantile(ascending(quick), q));
    const off = exact.map((value, r) => value - quick[r]);
    const whole = draws(rows.length, wholeResamples).map((draw, r) => wholly(rows, draw) - quick[r]);
    return [
      model,
      `[${low.toFixed(3)}, ${high.toFixed(3)}]`,
      ends.map((end) => end.toFixed(3)).join(", "),
      rootMeanSquare(off).toFixed(4),
      Math.max(...off.map(Math.abs)).toFixed(3),
      rootMeanSquare(whole).toFixed(3),
      mean(whole).toFixed(3),
      rootMeanSquare(quick.map((value) => value - mean(quick))).toFixed(3),
      (published.lc_standard_error ?? Number.NaN).toFixed(3),
    ];
  }),
);

console.log(
  "\nA model minus the first one: the interval from contributions, and from refits of both to each resample.",
);
const whole = models.filter(({ rows }) => rows.length === models[0].rows.length);
table(
  ["model", "difference", "by contributions", "by refits"],
  whole.slice(1).map(({ model, fitted }) => {
    const [ours, theirs] = [fitted, whole[0].fitted].map(lengthContributions);
    const refits = [fitted, whole[0].fitted].map(createLengthRefit);
    const units = ours.length;
    const sum = (draw) => draw.reduce((total, unit) => total + ours[unit] - theirs[unit], 0) / units;
    const by = (statistic) => {
      const { low, high } = bootstrapStatistic(units, statistic, SEED);
      return `[${low.toFixed(3)}, ${high.toFixed(3)}]`;
    };
    const difference = mean([...ours]) - mean([...theirs]);
    return [model, difference.toFixed(3), by(sum), by((draw) => refits[0](draw) - refits[1](draw))];
  }),
);

const command = ["evaluate", "alpaca-eval", "--annotations", join(data, "example/annotations.json")];
command.push("--gamed", gamedPath, "--difficulty", difficultyPath);
const seconds = Array.from({ length: 5 }, () => {
  const start = performance.now();
  const { status } = spawnSync(process.execPath, [resolve(import.meta.dirname, "../dist/cli/main.js"), ...command]);
  if (status !== 0) throw new Error(`the command ended with ${status}`);
  return (performance.now() - start) / 1000;
});
console.log(`\nThe whole command on 805 annotations: ${seconds.map((s) => s.toFixed(2)).join(", ")} seconds`);

/** The first resamples that the bootstrap draws. */
function draws(units, count) {
  const [all] = resampledUnits(units, RESAMPLES, SEED);
  return Array.from({ length: count }, (_, r) => all.slice(r * units, (r + 1) * units));
}

/** Fitted from nothing, rows as often as drawn, at the same C and the same scale of lengths. */
function exactly({ problem, gamedRows, difficulty, cost }, draw) {
  const weights = problem.weights.slice().fill(0, gamedRows);
  for (const unit of draw) weights[gamedRows + unit]++;
  const theta = fitToOptimum({ ...problem, weights }, cost);
  return 100 * mean(Array.from(draw, (unit) => preferenceAtEqualLength(theta, difficulty[unit])));
}

/** Everything again, as if the resample were the data. */
function wholly(rows, draw) {
  const resampled = fitLengthModel(
    tables,
    Array.from(draw, (unit) => rows[unit]),
  );
  return lengthControlledWinRate(resampled, resampled.theta);
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function rootMeanSquare(values) {
  return Math.sqrt(mean(values.map((value) => value ** 2)));
}

function ascending(values) {
  return Float64Array.from(values).sort();
}

function table(header, rows) {
  const widths = header.map((name, c) => Math.max(name.length, ...rows.map((row) => row[c].length)));
  for (const row of [header, ...rows]) {
    console.log(row.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]) : cell.padStart(widths[c]))).join("  "));
  }
}
