/**
 * From judged pairs to figures: win rate, discrete win rate and, with the benchmark's tables, the length-controlled win
 * rate, each with its interval over instructions; and the row that the benchmark's leaderboard would have of them.
 */
import { createHash } from "node:crypto";
import { failure, inputError } from "../../../errors.ts";
import { bootstrapMean, bootstrapStatistic } from "../../../statistics/bootstrap.ts";
import type { Interval } from "../../../statistics/interval.ts";
import type { Metric } from "../benchmark.ts";
import { placesOf } from "./instruction-order.ts";
import type { JudgedPair, Judgments } from "./judged-pair.ts";
import { lengthContributions } from "./length-influence.ts";
import {
  DIFFICULTY,
  fitLengthModel,
  LENGTH,
  type LengthModel,
  lengthControlledWinRate,
  MODEL,
  preferenceAtEqualLength,
} from "./length-model.ts";
import { createLengthRefit } from "./length-refit.ts";
import type { LengthTables } from "./length-tables.ts";
import {
  type AlpacaEvalPrompt,
  type AlpacaEvalResult,
  type LeaderboardRow,
  type LengthCoefficients,
  type LengthModelFigures,
  type OrderFigures,
  SEED,
  UNIT,
} from "./result.ts";

/** `tables` null: no length-controlled win rate. */
export function scoreAlpacaEval(judgments: Judgments, tables: LengthTables | null): AlpacaEvalResult {
  const { model, baseline, judge, pairs, cut, refused, reasoning, tokens } = judgments;
  const preferences = preferencesOf(judgments);
  const wins = preferences.map(winPercent);
  const discrete = preferences.map(discretePercent);
  const lengthModel = tables === null ? null : lengthModelOf(judgments, tables);
  const contributions = lengthModel === null ? null : lengthContributions(lengthModel);
  const metric = (interval: Interval, prompts: number): Metric => ({ ...interval, unit: UNIT, prompts });
  const orders = orderFigures(pairs);
  return {
    benchmark: "alpaca-eval",
    model,
    metrics: {
      win_rate: metric(bootstrapMean(wins, SEED), wins.length),
      ...(lengthModel && { length_controlled_win_rate: metric(lengthControlledInterval(lengthModel), pairs.length) }),
      discrete_win_rate: metric(bootstrapMean(discrete, SEED), discrete.length),
    },
    baseline,
    judge,
    prompts: pairs.length,
    unparsed: pairs.flatMap(({ preference, answer = "" }, place) =>
      preference === null ? [{ id: String(place), answer }] : [],
    ),
    empty_outputs: pairs.filter(({ isEmpty }) => isEmpty).length,
    ...(cut !== undefined && { cut_outputs: cut }),
    ...(refused !== undefined && { refused }),
    ...(reasoning !== undefined && { reasoning }),
    ...(tokens && { judge_tokens: tokens }),
    ...(orders && { orders }),
    leaderboard: leaderboardRow(preferences, pairs, lengthModel),
    ...(lengthModel && { length_model: lengthModelFigures(lengthModel) }),
    per_prompt: pairs.map((pair, place) => promptRow(pair, place, contributions?.[place])),
  };
}

function preferencesOf({ model, pairs }: Judgments): number[] {
  const found = pairs.map(({ preference }) => preference).filter((preference) => preference !== null);
  if (found.length > 0) return found;
  throw failure(`alpaca-eval ${model}`, `none of the judge's ${pairs.length} answers names one of the two models`);
}

function winPercent(preference: number): number {
  return 100 * (preference - 1);
}

function discretePercent(preference: number): number {
  if (preference === 1.5) return 50;
  return preference > 1.5 ? 100 : 0;
}

function lengthModelOf({ model, pairs }: Judgments, tables: LengthTables): LengthModel {
  const known = tables.difficulty.length;
  const { places } = placesOf(pairs);
  const beyond = places.find((place) => place >= known);
  if (beyond !== undefined) {
    throw inputError(
      `alpaca-eval ${model}`,
      `the table of difficulties has ${known} instructions, and instruction ${beyond + 1} is judged; take the table of the same instructions`,
    );
  }
  const rows = pairs.map((pair, row) => ({
    ...pair,
    index: places[row]!,
    preference: pair.preference === null ? null : pair.preference - 1,
  }));
  return fitLengthModel(tables, rows);
}

/** The figure is the benchmark's; the refitted ones around it are optima, which lie within hundredths of a point. */
function lengthControlledInterval(model: LengthModel): Interval {
  const { low, high } = bootstrapStatistic(model.difficulty.length, createLengthRefit(model), SEED);
  return { value: lengthControlledWinRate(model, model.theta), low, high };
}

function lengthModelFigures(model: LengthModel): LengthModelFigures {
  const coefficients = (theta: Float64Array): LengthCoefficients => ({
    length: theta[LENGTH]!,
    difficulty: theta[DIFFICULTY]!,
    model: theta[MODEL]!,
  });
  return {
    cost: model.cost,
    coefficients: coefficients(model.theta),
    at_optimum: {
      length_controlled_win_rate: lengthControlledWinRate(model, model.optimum),
      coefficients: coefficients(model.optimum),
    },
  };
}

function leaderboardRow(
  preferences: readonly number[],
  pairs: readonly JudgedPair[],
  lengthModel: LengthModel | null,
): LeaderboardRow {
  const predicted =
    lengthModel && [...lengthModel.difficulty].map((d) => preferenceAtEqualLength(lengthModel.theta, d));
  return {
    win_rate: mean(preferences.map(winPercent)),
    standard_error: standardError(preferences.map(winPercent)),
    n_wins: preferences.filter((preference) => preference > 1.5).length,
    n_wins_base: preferences.filter((preference) => preference < 1.5).length,
    n_draws: preferences.filter((preference) => preference === 1.5).length,
    n_total: preferences.length,
    discrete_win_rate: mean(preferences.map(discretePercent)),
    avg_length: Math.floor(mean(pairs.map(({ length }) => length))),
    ...(lengthModel && {
      length_controlled_winrate: lengthControlledWinRate(lengthModel, lengthModel.theta),
      lc_standard_error: 100 * standardError(predicted ?? []),
    }),
  };
}

function orderFigures(pairs: readonly JudgedPair[]): OrderFigures | null {
  const asked = pairs.map(({ orders }) => orders).filter((orders) => orders !== undefined);
  if (asked.length === 0) return null;
  const both = asked.filter((orders): orders is readonly [number, number] => !orders.includes(null));
  const first = both.map(([baselineFirst, modelFirst]) => (2 - baselineFirst + (modelFirst - 1)) / 2);
  return {
    prompts: both.length,
    disagree: both.filter(([one, other]) => (one - 1.5) * (other - 1.5) < 0).length,
    first_wins: 100 * mean(first),
  };
}

function promptRow(pair: JudgedPair, place: number, contribution: number | undefined): AlpacaEvalPrompt {
  const { instruction, preference, length, baselineLength, orders } = pair;
  return {
    id: String(place),
    instruction: createHash("sha256").update(instruction, "utf8").digest("hex").slice(0, 16),
    preference,
    length,
    baseline_length: baselineLength,
    ...(contribution !== undefined && { length_controlled: contribution }),
    ...(orders && { orders }),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** 0 of a single value, as of values that are all alike. */
function standardError(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const centre = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}
