/** No selection: every answer is worth the same. */
import type { ScorerKind } from "./scorer.ts";

export const none: ScorerKind = {
  name: "none",
  summary: "nothing; all answers are worth the same",
  open: async () => ({
    score: async (candidates) => candidates.map(({ answers }) => answers.map(() => 0)),
    dispose: async () => {},
  }),
};
