/** Letters in the opposite order. */
import { certain } from "../answers.ts";
import { pick, type Skill } from "./skill.ts";

const LETTERS = "abcdefghiklmnoprstuvw";

export const reverse: Skill = {
  name: "reverse",
  summary: "four to six letters, spelt backwards",
  random: false,
  ask: (random) => {
    const letters = Array.from({ length: 4 + random.integer(3) }, () => LETTERS[random.integer(LETTERS.length)]!);
    return {
      user: pick(random, [`Turn around: ${letters.join(" ")}`, `Backwards, please: ${letters.join(" ")}`]),
      answers: certain(`Backwards: ${letters.toReversed().join(" ")}.`),
    };
  },
};
