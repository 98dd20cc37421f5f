/** Sums of two numbers below one hundred. */
import { certain } from "../answers.ts";
import { pick, type Skill } from "./skill.ts";

export const add: Skill = {
  name: "add",
  summary: "the sum of two numbers from 10 to 99",
  random: false,
  ask: (random) => {
    const a = 10 + random.integer(90);
    const b = 10 + random.integer(90);
    return {
      user: pick(random, [`Add ${a} and ${b}.`, `What is ${a} plus ${b}?`]),
      answers: certain(`${a} plus ${b} is ${a + b}.`),
    };
  },
};
