/** A rule of `exact-match`: an answer in which it finds what it finds in the reference is worth 1, others are out. */
import { ruleOf } from "../../evaluate/benchmarks/exact-match/rules.ts";
import type { ScorerKind } from "./scorer.ts";

export const rule: ScorerKind = {
  name: "rule",
  summary: "a rule of exact-match against the answer that the data has: only right ones stay",
  open: async ({ rule: name, pattern, reasoning }) => {
    const chosen = ruleOf(name, pattern);
    return {
      score: async (candidates) =>
        candidates.map(({ prompt: { reference }, answers }) => {
          const expected = reference === null ? null : chosen.extract(reference, reasoning);
          return answers.map(({ text }) =>
            expected !== null && chosen.extract(text, reasoning) === expected ? 1 : null,
          );
        }),
      dispose: async () => {},
    };
  },
};
