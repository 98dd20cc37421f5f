/** All scorers, one line each. */
import { inputError, suggestion } from "../../errors.ts";
import { judge } from "./judge.ts";
import { nats } from "./nats.ts";
import { none } from "./none.ts";
import { rewardModel } from "./reward.ts";
import { rule } from "./rule.ts";
import type { ScorerKind } from "./scorer.ts";

export const SCORERS: readonly ScorerKind[] = [none, rule, judge, rewardModel, nats];

export function findScorer(name: string): ScorerKind {
  const found = SCORERS.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = SCORERS.map((one) => one.name);
  throw inputError(
    "answers",
    `unknown selection ${JSON.stringify(name)}${suggestion(name, names) || `; expected ${names.join(", ")}`}`,
  );
}
