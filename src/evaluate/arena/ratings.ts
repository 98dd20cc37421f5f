/**
 * What votes say of models: ratings on Elo's scale, as FastChat computes them (`serve/monitor/elo_analysis.py`,
 * `compute_elo_mle`: Bradley-Terry's strengths, 400 points a factor of ten, their mean 1000, ties half a win each), with
 * intervals by resampling votes; and who has beaten whom. A pair is compared by the difference of its ratings, and
 * tested by the votes between the two alone.
 */
import { inputError } from "../../errors.ts";
import { bootstrapFigures } from "../../statistics/bootstrap.ts";
import { bradleyTerry } from "../../statistics/bradley-terry.ts";
import { signTest } from "../../statistics/exact.ts";
import type { Interval, PairedDifference } from "../../statistics/interval.ts";
import { type Verdict, verdicts } from "../../statistics/verdict.ts";
import type { Outcome, Votes } from "./votes.ts";

const SEED = "arena";
const CENTRE = 1000;
/** Points of a natural logarithm of strength. */
const POINTS = 400 / Math.LN10;

export interface RatedModel extends Interval {
  readonly model: string;
  readonly votes: number;
  readonly wins: number;
  readonly losses: number;
  readonly ties: number;
  readonly both_bad: number;
}

export interface RatedPair extends PairedDifference {
  readonly model: string;
  readonly against: string;
  /** Between the two; ties of either kind. */
  readonly wins: number;
  readonly losses: number;
  readonly ties: number;
  readonly p_adjusted: number;
  readonly verdict: Verdict;
}

export interface ArenaResult {
  readonly benchmark: "arena";
  readonly votes: number;
  /** Of people who saw the names; they count in nothing. */
  readonly named_votes: number;
  /** The best first. Ratings are NaN where some models have no finite one. */
  readonly models: readonly RatedModel[];
  /** In the order of `models`: the share that the row's model has won of its votes with the column's, ties half; null without any. */
  readonly win_matrix: readonly (readonly (number | null)[])[];
  readonly pairs: readonly RatedPair[];
}

/** What the left model wins of a vote. */
const SHARE: Readonly<Record<Outcome, number>> = { left: 1, right: 0, tie: 0.5, "both bad": 0.5 };

/** Throws where there is no vote, or where ratings of some models have nothing to do with those of others. */
export function rateModels({ votes, named }: Votes, where: string): ArenaResult {
  if (votes.length === 0) throw inputError(where, "expected votes, found none");
  const names = [...new Set(votes.flatMap(({ models }) => models))].sort();
  const count = names.length;
  const index = new Map(names.map((name, at) => [name, at]));
  const { kinds, kindOf } = kindsOf(votes, index);

  // Equal votes are counted, and a kind of them is added once: a file of 33,000 is resampled 10,000 times.
  const winsIn = (draw: Uint32Array): Float64Array => {
    const counts = new Uint32Array(kinds.length);
    for (let at = 0; at < draw.length; at++) counts[kindOf[draw[at]!]!]!++;
    const wins = new Float64Array(count * count);
    for (const [kind, { left, right, share }] of kinds.entries()) {
      wins[left * count + right]! += counts[kind]! * share;
      wins[right * count + left]! += counts[kind]! * (1 - share);
    }
    return wins;
  };
  const all = winsIn(Uint32Array.from(votes.keys()));
  refuseApart(all, names, where);
  const found = bradleyTerry(all, count);
  const start = found.some(Number.isNaN) ? undefined : found;
  const pairs = names.flatMap((_, i) => names.slice(i + 1).map((_, k) => [i, i + 1 + k] as const));
  const figures = bootstrapFigures(
    votes.length,
    (draw) => {
      const ratings = bradleyTerry(winsIn(draw), count, start).map((strength) => CENTRE + POINTS * strength);
      return [...ratings, ...pairs.map(([i, j]) => ratings[i]! - ratings[j]!)];
    },
    SEED,
  );

  const tally = tallyOf(votes, index);
  const rated = names.map((model, at): RatedModel => {
    const { wins, losses, ties, bothBad } = sumOf(names.map((_, other) => tally[at * count + other]!));
    const all = wins + losses + ties + bothBad;
    return { model, ...figures[at]!, votes: all, wins, losses, ties, both_bad: bothBad };
  });
  const score = ({ value, wins, ties, both_bad, votes: all }: RatedModel): number =>
    Number.isNaN(value) ? (wins + (ties + both_bad) / 2) / all : value;
  const models = rated.sort((a, b) => score(b) - score(a) || (a.model < b.model ? -1 : 1));
  const order = models.map(({ model }) => index.get(model)!);
  const win_matrix = order.map((i) =>
    order.map((j) => {
      const played = all[i * count + j]! + all[j * count + i]!;
      return played === 0 ? null : all[i * count + j]! / played;
    }),
  );
  return {
    benchmark: "arena",
    votes: votes.length,
    named_votes: named,
    models,
    win_matrix,
    pairs: ratedPairs(tally, names, pairs, figures.slice(count)),
  };
}

/** Votes that count alike: the places of their models, and what the left one has won. */
interface VoteKind {
  readonly left: number;
  readonly right: number;
  readonly share: number;
}

function kindsOf(
  votes: Votes["votes"],
  index: ReadonlyMap<string, number>,
): { readonly kinds: readonly VoteKind[]; readonly kindOf: Int32Array } {
  const kinds: VoteKind[] = [];
  const known = new Map<string, number>();
  const kindOf = Int32Array.from(votes, ({ models, outcome }) => {
    const [left, right] = models.map((model) => index.get(model)!) as [number, number];
    const share = SHARE[outcome];
    const key = `${left}/${right}/${share}`;
    const kind = known.get(key) ?? kinds.push({ left, right, share }) - 1;
    known.set(key, kind);
    return kind;
  });
  return { kinds, kindOf };
}

/** Of a model's votes with another one. */
interface Tally {
  wins: number;
  losses: number;
  ties: number;
  bothBad: number;
}

/** `[models, models]`, counted once: published files have a million votes on a hundred models. */
function tallyOf(votes: Votes["votes"], index: ReadonlyMap<string, number>): Tally[] {
  const count = index.size;
  const tally = Array.from({ length: count * count }, (): Tally => ({ wins: 0, losses: 0, ties: 0, bothBad: 0 }));
  for (const { models, outcome } of votes) {
    const [i, j] = models.map((model) => index.get(model)!) as [number, number];
    const [left, right] = [tally[i * count + j]!, tally[j * count + i]!];
    if (outcome === "left" || outcome === "right") {
      const [winner, loser] = outcome === "left" ? [left, right] : [right, left];
      winner.wins++;
      loser.losses++;
    } else {
      for (const side of [left, right]) side[outcome === "tie" ? "ties" : "bothBad"]++;
    }
  }
  return tally;
}

function sumOf(tallies: readonly Tally[]): Tally {
  const sum = { wins: 0, losses: 0, ties: 0, bothBad: 0 };
  for (const { wins, losses, ties, bothBad } of tallies) {
    sum.wins += wins;
    sum.losses += losses;
    sum.ties += ties;
    sum.bothBad += bothBad;
  }
  return sum;
}

function ratedPairs(
  tally: readonly Tally[],
  names: readonly string[],
  pairs: readonly (readonly [number, number])[],
  differences: readonly Interval[],
): RatedPair[] {
  const tested = pairs.map(([i, j], at) => {
    const { wins, losses, ties, bothBad } = tally[i * names.length + j]!;
    const signs = [...Array(wins).fill(1), ...Array(losses).fill(-1)] as number[];
    // Without a vote between them there is nothing to test.
    const p = wins + losses + ties + bothBad === 0 ? Number.NaN : signTest(signs);
    return { model: names[i]!, against: names[j]!, ...differences[at]!, p, wins, losses, ties: ties + bothBad };
  });
  const found = verdicts(tested, "more");
  return tested.map((pair, at) => ({ ...pair, ...found[at]! }));
}

/** Models that no chain of votes connects have no common scale. */
function refuseApart(wins: Float64Array, names: readonly string[], where: string): void {
  const count = names.length;
  const reached = [0];
  for (const i of reached) {
    for (let j = 0; j < count; j++) {
      if (wins[i * count + j]! + wins[j * count + i]! > 0 && !reached.includes(j)) reached.push(j);
    }
  }
  if (reached.length === count) return;
  const apart = names.filter((_, at) => !reached.includes(at));
  throw inputError(
    where,
    `expected models that votes connect, but nothing connects ${apart.join(", ")} with ${names[0]}; rate them apart`,
  );
}
