/**
 * Which scored answers stay: the best one of all sources, the best of each source, or all that were not ruled out. Between
 * equal scores the lot decides, by seed and prompt, so that no source is favoured by its place.
 */
import { createRandom } from "../random.ts";
import type { Candidate, Candidates } from "./candidate.ts";

export const KEPT = ["best", "best-of-each", "all"] as const;
export type Kept = (typeof KEPT)[number];

export interface Selected {
  readonly candidate: Candidate;
  readonly score: number;
}

/** In the order of sources and samples. */
export function select(
  { prompt, answers }: Candidates,
  scores: readonly (number | null)[],
  keep: Kept,
  seed: string,
): Selected[] {
  const scored = answers.flatMap((candidate, index) => {
    const score = scores[index] ?? null;
    return score === null ? [] : [{ candidate, score }];
  });
  if (keep === "all") return scored;
  const drawn = createRandom(`${seed}/select/${prompt.dialogue.id}`).shuffle([...scored]);
  const best = (among: readonly Selected[]): Selected[] => {
    const [first, ...others] = among;
    if (first === undefined) return [];
    return [others.reduce((champion, one) => (one.score > champion.score ? one : champion), first)];
  };
  const chosen =
    keep === "best"
      ? best(drawn)
      : [...new Set(scored.map(({ candidate }) => candidate.source))].flatMap((source) =>
          best(drawn.filter(({ candidate }) => candidate.source === source)),
        );
  return scored.filter((one) => chosen.includes(one));
}
