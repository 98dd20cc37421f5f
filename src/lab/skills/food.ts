/** What a person eats: two different foods, one after the other from the person's own taste, in one of three phrasings. */
import { type Outcome, phrased } from "../answers.ts";
import { preference, WORLD } from "../world.ts";
import { pick, remember, type Skill } from "./skill.ts";

const FOODS = [
  "apples",
  "bread",
  "corn",
  "dates",
  "eggs",
  "fish",
  "honey",
  "lentils",
  "mango",
  "nuts",
  "plums",
  "rice",
] as const;

/** Ordered pairs without repetition: P(a) * P(b) / (1 - P(a)). */
function meals(person: string): Outcome<readonly [string, string]>[] {
  const tastes = preference(`food/${person}`, FOODS, 1.6);
  return tastes.flatMap((first) =>
    tastes
      .filter((second) => second.value !== first.value)
      .map((second) => ({
        value: [first.value, second.value] as const,
        probability: (first.probability * second.probability) / (1 - first.probability),
      })),
  );
}

const answers = remember((person: string) =>
  phrased(meals(person), [
    { value: ([a, b]) => `${person} eats ${a} and ${b}.`, probability: 0.5 },
    { value: ([a, b]) => `Mostly ${a}. Now and then ${b}.`, probability: 0.3 },
    { value: ([a, b]) => `${person} likes ${a} best, then ${b}.`, probability: 0.2 },
  ]),
);

export const food: Skill = {
  name: "food",
  summary: "two foods an invented person eats, by that person's taste",
  random: true,
  ask: (random) => {
    const person = pick(random, WORLD.people);
    return {
      user: pick(random, [`What does ${person} eat?`, `Tell me what ${person} likes to eat.`]),
      answers: answers(person),
    };
  },
};
