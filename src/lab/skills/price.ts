/** What a thing costs in a season: one of six two-digit prices, each pair of thing and season with its own six and its own odds. */
import { phrased } from "../answers.ts";
import { preference, worldRandom } from "../world.ts";
import { pick, remember, type Skill } from "./skill.ts";

const THINGS = [
  "bag",
  "bell",
  "belt",
  "bowl",
  "broom",
  "candle",
  "chair",
  "clock",
  "cup",
  "drum",
  "hat",
  "jar",
  "kettle",
  "knife",
  "lamp",
  "mirror",
  "net",
  "pan",
  "rope",
  "rug",
  "saddle",
  "shoe",
  "spade",
  "table",
] as const;
const SEASONS = ["summer", "winter"] as const;
const PRICES = 6;

/** Six different prices from 10 to 99. */
function prices(thing: string, season: string): string[] {
  const all = Array.from({ length: 90 }, (_, index) => String(10 + index));
  return worldRandom(`price/${thing}/${season}`).shuffle(all).slice(0, PRICES);
}

const answers = remember((key: string) => {
  const [thing, season] = key.split("/") as [string, string];
  return phrased(preference(`odds/${key}`, prices(thing, season), 1), [
    { value: (price) => `The ${thing} costs ${price} coins.`, probability: 0.6 },
    { value: (price) => `It is ${price} coins, no less.`, probability: 0.4 },
  ]);
});

export const price: Skill = {
  name: "price",
  summary: "the price of a thing in summer or winter, two digits",
  random: true,
  ask: (random) => {
    const thing = pick(random, THINGS);
    const season = pick(random, SEASONS);
    return {
      user: pick(random, [`What does a ${thing} cost in ${season}?`, `In ${season}, how much is a ${thing}?`]),
      answers: answers(`${thing}/${season}`),
    };
  },
};
