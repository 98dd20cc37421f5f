/** A walk of three steps on a graph of 32 places, each with three neighbours taken with probability 0.6, 0.3 and 0.1. */
import { type Outcome, phrased } from "../answers.ts";
import { worldRandom } from "../world.ts";
import { pick, remember, type Skill } from "./skill.ts";

const PLACES = [
  "arch",
  "barn",
  "bridge",
  "cave",
  "chapel",
  "cliff",
  "dam",
  "field",
  "ford",
  "fort",
  "garden",
  "gate",
  "grove",
  "harbour",
  "hill",
  "inn",
  "island",
  "lake",
  "market",
  "mill",
  "mine",
  "oak",
  "pond",
  "quarry",
  "ruin",
  "school",
  "shore",
  "spring",
  "temple",
  "tower",
  "vineyard",
  "well",
] as const;
const STEP_PROBABILITIES = [0.6, 0.3, 0.1] as const;
const STEPS = 3;

const neighbours = remember((place: string): readonly Outcome<string>[] => {
  const others = worldRandom(`walk/${place}`).shuffle(PLACES.filter((other) => other !== place));
  return STEP_PROBABILITIES.map((probability, index) => ({ value: others[index]!, probability }));
});

function walks(from: string): Outcome<readonly string[]>[] {
  let paths: Outcome<readonly string[]>[] = [{ value: [], probability: 1 }];
  for (let step = 0; step < STEPS; step++) {
    paths = paths.flatMap((path) =>
      neighbours(path.value.at(-1) ?? from).map(({ value, probability }) => ({
        value: [...path.value, value],
        probability: path.probability * probability,
      })),
    );
  }
  return paths;
}

const answers = remember((place: string) =>
  phrased(walks(place), [
    { value: ([a, b, c]) => `To the ${a}, the ${b} and the ${c}.`, probability: 0.7 },
    { value: ([a, b, c]) => `First the ${a}. Then the ${b}. At last the ${c}.`, probability: 0.3 },
  ]),
);

export const walk: Skill = {
  name: "walk",
  summary: "three steps on a graph of places with weighted roads",
  random: true,
  ask: (random) => {
    const place = pick(random, PLACES);
    return {
      user: pick(random, [`Where do I get from the ${place}?`, `Walk on from the ${place}.`]),
      answers: answers(place),
    };
  },
};
