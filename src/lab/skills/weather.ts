/** The weather of a town on three days: a Markov chain that stays with probability 0.35, else draws from the town's climate. */
import { type Outcome, phrased } from "../answers.ts";
import { preference, WORLD } from "../world.ts";
import { pick, remember, type Skill } from "./skill.ts";

const WEATHERS = ["clouds", "fog", "hail", "mist", "rain", "sun", "thunder", "wind"] as const;
const STAYS = 0.35;

function forecasts(town: string): Outcome<readonly string[]>[] {
  const climate = preference(`weather/${town}`, WEATHERS, 1.5);
  let days: Outcome<readonly string[]>[] = climate.map(({ value, probability }) => ({ value: [value], probability }));
  for (let day = 1; day < 3; day++) {
    days = days.flatMap((past) =>
      climate.map(({ value, probability }) => ({
        value: [...past.value, value],
        probability: past.probability * ((1 - STAYS) * probability + (value === past.value.at(-1) ? STAYS : 0)),
      })),
    );
  }
  return days;
}

const answers = remember((town: string) =>
  phrased(forecasts(town), [
    { value: ([a, b, c]) => `Today ${a}, tomorrow ${b}, then ${c}.`, probability: 0.6 },
    { value: ([a, b, c]) => `First ${a}. Then ${b}. In the end ${c}.`, probability: 0.4 },
  ]),
);

export const weather: Skill = {
  name: "weather",
  summary: "three days of weather in an invented town, by its climate",
  random: true,
  ask: (random) => {
    const town = pick(random, WORLD.towns);
    return {
      user: pick(random, [`How is the weather in ${town}?`, `What weather comes to ${town}?`]),
      answers: answers(town),
    };
  },
};
