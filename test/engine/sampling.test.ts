import { describe, expect, test } from "vitest";
import { candidatesNeeded, chooseToken, type SamplingOptions } from "#src/engine/sampling.js";
import { createRandom } from "#src/random.js";

const id = Int32Array.of(7, 2, 9, 4);
const probability = [0.5, 0.3, 0.15, 0.05];
const logit = Float32Array.from(probability, Math.log);
const all: SamplingOptions = { temperature: 1, topP: 1, topK: 0 };
const DRAWS = 20_000;

/** How often each candidate comes, by its place in `ids`. */
function counts(ids: Int32Array, logits: Float32Array, options: SamplingOptions, seed = "shares"): number[] {
  const random = createRandom(seed);
  const found = new Map<number, number>();
  for (let i = 0; i < DRAWS; i++) {
    const chosen = chooseToken(ids, logits, options, random);
    found.set(chosen, (found.get(chosen) ?? 0) + 1);
  }
  return Array.from(ids, (token) => found.get(token) ?? 0);
}

const expectShares = (options: SamplingOptions, wanted: number[]): void => {
  const found = counts(id, logit, options);
  // Three standard deviations of 20,000 draws are 0.011 at most.
  for (const [k, share] of wanted.entries()) expect(Math.abs(found[k]! / DRAWS - share)).toBeLessThan(0.011);
};

test("greedy takes the most probable token, of equal ones the lowest id, and draws no random number", () => {
  const random = createRandom("x");
  expect(chooseToken(id, logit, { ...all, temperature: 0 }, random)).toBe(7);
  const equal = Float32Array.of(0, 1, 1, 1);
  expect(chooseToken(id, equal, { ...all, temperature: 0 }, random)).toBe(2);
  expect(random.next()).toBe(createRandom("x").next());
});

test("at temperature 1 tokens come as often as the model says", () => {
  expectShares(all, probability);
});

test("temperature 2 takes the square root of the probabilities", () => {
  const roots = probability.map(Math.sqrt);
  const total = roots.reduce((a, b) => a + b);
  expectShares(
    { ...all, temperature: 2 },
    roots.map((root) => root / total),
  );
});

test("the nucleus ends with the token that reaches the wanted share", () => {
  expectShares({ ...all, topP: 0.7 }, [0.5 / 0.8, 0.3 / 0.8, 0, 0]);
  expectShares({ ...all, topP: 0.81 }, [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0]);
  expectShares({ ...all, topP: 0 }, [1, 0, 0, 0]);
});

test("top-k comes before the nucleus, as in transformers", () => {
  // Of 0.5, 0.3 and 0.15, renormalised, the first two have 0.84.
  expectShares({ ...all, topK: 3, topP: 0.84 }, [0.5 / 0.8, 0.3 / 0.8, 0, 0]);
});

/** The probabilities by the definition: every candidate sorted, nothing skipped, ordinary arithmetic. */
function plainProbabilities(ids: Int32Array, logits: Float32Array, { temperature, topP, topK }: SamplingOptions) {
  const order = Array.from(ids, (_, place) => place).sort((a, b) => logits[b]! - logits[a]! || ids[a]! - ids[b]!);
  const firstK = order.slice(0, topK > 0 ? topK : order.length);
  const weights = firstK.map((place) => Math.exp(logits[place]! / temperature));
  const total = weights.reduce((a, b) => a + b);
  const kept: number[] = [];
  let reached = 0;
  for (const [rank, place] of firstK.entries()) {
    if (rank > 0 && reached >= topP) break;
    kept.push(place);
    reached += weights[rank]! / total;
  }
  const left = weights.slice(0, kept.length).reduce((a, b) => a + b);
  const result = new Array<number>(ids.length).fill(0);
  for (const [rank, place] of kept.entries()) result[place] = weights[rank]! / left;
  return result;
}

describe.each([
  { temperature: 1, topP: 1, topK: 0 },
  { temperature: 0.7, topP: 0.95, topK: 0 },
  { temperature: 1.5, topP: 0.8, topK: 0 },
  { temperature: 1, topP: 1, topK: 12 },
  { temperature: 0.5, topP: 0.9, topK: 20 },
  { temperature: 3, topP: 0.3, topK: 40 },
])("of 60 candidates, temperature $temperature, top-p $topP, top-k $topK", (options) => {
  const random = createRandom("candidates");
  const ids = Int32Array.from(random.shuffle(Array.from({ length: 60 }, (_, token) => 3 * token)));
  const logits = Float32Array.from(ids, () => 2 * random.normal());
  const wanted = plainProbabilities(ids, logits, options);

  test("what is drawn passes a chi-square test against the definition", () => {
    const found = counts(ids, logits, options, `chi/${JSON.stringify(options)}`);
    let statistic = 0;
    let freedom = -1;
    // Rare ones count together: the statistic wants at least five expected draws a cell.
    let rareWanted = 0;
    let rareFound = 0;
    for (const [place, share] of wanted.entries()) {
      const expected = DRAWS * share;
      if (expected === 0) expect(found[place]).toBe(0);
      else if (expected < 5) {
        rareWanted += expected;
        rareFound += found[place]!;
      } else {
        statistic += (found[place]! - expected) ** 2 / expected;
        freedom++;
      }
    }
    if (rareWanted > 0) {
      statistic += (rareFound - rareWanted) ** 2 / rareWanted;
      freedom++;
    }
    // 3.1 standard deviations (one in a thousand), by the cube root of Wilson and Hilferty.
    const spread = 2 / (9 * Math.max(1, freedom));
    expect(statistic).toBeLessThan(Math.max(1, freedom) * (1 - spread + 3.1 * Math.sqrt(spread)) ** 3);
  });

  test("every random number draws the token at its place among the kept ones, in the order of ids", () => {
    const byId = [...wanted.keys()].sort((a, b) => ids[a]! - ids[b]!);
    let start = 0;
    for (const place of byId.filter((candidate) => wanted[candidate]! > 0)) {
      for (const within of [1e-6, 0.5, 1 - 1e-6]) {
        const fixed = { ...createRandom("unused"), next: () => start + within * wanted[place]! };
        expect(chooseToken(ids, logits, options, fixed)).toBe(ids[place]);
      }
      start += wanted[place]!;
    }
    expect(start).toBeCloseTo(1, 12);
  });

  test("candidates enough for an exact answer give it", () => {
    const order = [...ids.keys()].sort((a, b) => logits[b]! - logits[a]!);
    const places = order.slice(0, candidatesNeeded(ids.length, options));
    const few = [
      Int32Array.from(places, (place) => ids[place]!),
      Float32Array.from(places, (p) => logits[p]!),
    ] as const;
    for (let seed = 0; seed < 200; seed++) {
      const whole = chooseToken(ids, logits, options, createRandom(`few/${seed}`));
      expect(chooseToken(...few, options, createRandom(`few/${seed}`))).toBe(whole);
    }
  });
});

test("as many candidates are asked for as an exact answer needs", () => {
  expect(candidatesNeeded(1000, { ...all, temperature: 0 })).toBe(1);
  expect(candidatesNeeded(1000, { ...all, topK: 40 })).toBe(40);
  expect(candidatesNeeded(1000, all)).toBe(1000);
  expect(candidatesNeeded(30, { ...all, topK: 40 })).toBe(30);
});

test("rounding that swaps neighbours in rank does not change what a random number draws", () => {
  const count = 1000;
  const flat = Int32Array.from({ length: count }, (_, token) => token);
  const random = createRandom("flat");
  const logits = Float32Array.from(flat, () => 1e-6 * random.normal());
  const other = Float32Array.from(logits, () => 1e-6 * random.normal());
  let same = 0;
  for (let seed = 0; seed < 500; seed++) {
    const draw = (values: Float32Array): number => chooseToken(flat, values, all, createRandom(`swap/${seed}`));
    same += +(draw(logits) === draw(other));
  }
  // In the order of ranks next to none of them would agree.
  expect(same).toBeGreaterThan(495);
});

test("the same seed draws the same tokens", () => {
  const draw = (seed: string): number[] => {
    const random = createRandom(seed);
    return Array.from({ length: 20 }, () => chooseToken(id, logit, all, random));
  };
  expect(draw("a")).toEqual(draw("a"));
  expect(draw("a")).not.toEqual(draw("b"));
});
