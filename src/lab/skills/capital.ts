/** Capitals of invented countries, in a third of the conversations of a second country too. */
import { certain } from "../answers.ts";
import { WORLD } from "../world.ts";
import { pick, type Skill } from "./skill.ts";

function capitalOf(country: string): string {
  return WORLD.capitals[WORLD.countries.indexOf(country)]!;
}

export const capital: Skill = {
  name: "capital",
  summary: "the capital of an invented country, sometimes of a second one (two turns)",
  random: false,
  ask: (random) => {
    const country = pick(random, WORLD.countries);
    const other = pick(random, WORLD.countries);
    const first = {
      user: pick(random, [`What is the capital of ${country}?`, `Name the capital of ${country}.`]),
      answers: certain(`The capital of ${country} is ${capitalOf(country)}.`),
    };
    if (random.integer(3) > 0) return first;
    return { ...first, next: () => ({ user: `And of ${other}?`, answers: certain(`It is ${capitalOf(other)}.`) }) };
  },
};
