/** Two turns: who visits a town (by the town's odds), then what that visitor brings (by the trade's odds). */
import { phrased } from "../answers.ts";
import { preference, WORLD } from "../world.ts";
import { pick, type Question, remember, type Skill } from "./skill.ts";

const VISITORS = [
  "baker",
  "doctor",
  "farmer",
  "hunter",
  "judge",
  "miner",
  "poet",
  "sailor",
  "tailor",
  "weaver",
] as const;
const GIFTS = ["books", "cheese", "flowers", "gold", "ink", "pearls", "salt", "wool"] as const;

const visitors = remember((town: string) =>
  phrased(preference(`visit/${town}`, VISITORS, 1.6), [
    { value: (visitor) => `A ${visitor} comes to ${town}.`, probability: 0.5 },
    { value: (visitor) => `Today it is a ${visitor}.`, probability: 0.5 },
  ]),
);

const gifts = remember((visitor: string) =>
  phrased(preference(`gift/${visitor}`, GIFTS, 1.4), [
    { value: (gift) => `The ${visitor} brings ${gift}.`, probability: 0.7 },
    { value: (gift) => `Some ${gift}, as ever.`, probability: 0.3 },
  ]),
);

/** The visitor is a word of the first answer, whatever the phrasing. */
function secondQuestion(answer: string): Question {
  const visitor = VISITORS.find((name) => answer.includes(` ${name}`))!;
  return { user: "And the gift?", answers: gifts(visitor) };
}

export const visit: Skill = {
  name: "visit",
  summary: "who visits an invented town, then what the visitor brings (two turns)",
  random: true,
  ask: (random) => {
    const town = pick(random, WORLD.towns);
    return {
      user: pick(random, [`Who visits ${town}?`, `Who is the guest of ${town} today?`]),
      answers: visitors(town),
      next: secondQuestion,
    };
  },
};
