/** `fusechat evaluate arena`: ratings of models from votes on their answers. */
import { inputError } from "../errors.ts";
import { type ArenaResult, type RatedPair, rateModels } from "../evaluate/arena/ratings.ts";
import { readVotes } from "../evaluate/arena/votes.ts";
import { columns } from "../run/result-table.ts";
import type { Invocation } from "./verb.ts";

export const ARENA = "arena";

/** Its line in the list of benchmarks. */
export const ARENA_WORDS = "arena: ratings of models from people's votes (--votes), by Bradley and Terry";

export async function evaluateArena(invocation: Invocation, paths: readonly string[] | undefined): Promise<void> {
  if (paths === undefined) {
    throw inputError(
      "fusechat evaluate arena",
      "expected votes; add --votes FILE, as fusechat serve or FastChat writes it",
    );
  }
  const votes = await readVotes(paths);
  const result = rateModels(votes, paths.join(", "));
  for (const line of arenaLines(result)) invocation.print(line);
  invocation.document(result);
}

function arenaLines({ votes, named_votes: named, models, win_matrix: matrix, pairs }: ArenaResult): string[] {
  const rounded = (value: number): string => (Number.isNaN(value) ? "none" : value.toFixed(0));
  const hasRatings = models.every(({ value }) => !Number.isNaN(value));
  const left = named === 0 ? [] : [`${named} votes of people who saw the names are left out.`];
  return [
    ...columns([
      ["model", "rating", "votes", "won", "lost", "tied", "both bad"],
      ...models.map(({ model, value, low, high, ...counts }) => [
        model,
        hasRatings ? `${rounded(value)} [${rounded(low)}, ${rounded(high)}]` : "none",
        ...[counts.votes, counts.wins, counts.losses, counts.ties, counts.both_bad].map(String),
      ]),
    ]),
    "",
    ...columns([
      ["share won against", ...models.map(({ model }) => model)],
      ...models.map(({ model }, i) => [model, ...matrix[i]!.map((share) => (share === null ? "" : share.toFixed(2)))]),
    ]),
    "",
    ...(hasRatings
      ? pairs.map(pairLine)
      : ["Some models have won all or lost all against the others, and so have no finite rating; more votes help."]),
    ...left,
    `${votes} votes; ratings have 400 points a factor of ten in the odds, and 1000 as their mean. Intervals are 95 %, over votes;`,
    "p is of the votes between the two (sign test), adjusted for all pairs of the table (Holm).",
  ];
}

function pairLine({ model, against, value, low, high, p_adjusted: p, verdict, wins, losses, ties }: RatedPair): string {
  const sign = (points: number): string => `${points < 0 ? "" : "+"}${points.toFixed(0)}`;
  const tested = Number.isNaN(p)
    ? "no vote between them"
    : `${wins} won, ${losses} lost, ${ties} tied, p ${p.toFixed(4)}`;
  return `${model} against ${against}: ${verdict}, ${sign(value)} [${sign(low)}, ${sign(high)}] points (${tested})`;
}
