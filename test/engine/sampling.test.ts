import { expect, test } from "vitest";
import { candidatesNeeded, chooseToken } from "#src/engine/sampling.js";
import { createRandom } from "#src/random.js";

const id = Int32Array.of(7, 2, 9, 4);
const probability = [0.5, 0.3, 0.15, 0.05];
const logp = Float32Array.from(probability, Math.log);
const all = { temperature: 1, topP: 1, topK: 0 };

/** Shares of each id among many draws. */
function shares(options: Parameters<typeof chooseToken>[2], draws = 20_000): number[] {
  const random = createRandom("shares");
  const counts = new Map<number, number>();
  for (let i = 0; i < draws; i++) {
    const chosen = chooseToken(id, logp, options, random);
    counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
  }
  return Array.from(id, (token) => (counts.get(token) ?? 0) / draws);
}

const expectShares = (found: number[], wanted: number[]): void => {
  // Three standard deviations of 20,000 draws are 0.011 at most.
  for (const [k, share] of wanted.entries()) expect(Math.abs(found[k]! - share)).toBeLessThan(0.011);
};

test("greedy takes the most probable token and draws no random number", () => {
  const random = createRandom("x");
  expect(chooseToken(id, logp, { ...all, temperature: 0 }, random)).toBe(7);
  expect(random.next()).toBe(createRandom("x").next());
});

test("at temperature 1 tokens come as often as the model says", () => {
  expectShares(shares(all), probability);
});

test("temperature 2 takes the square root of the probabilities", () => {
  const roots = probability.map(Math.sqrt);
  const total = roots.reduce((a, b) => a + b);
  expectShares(
    shares({ ...all, temperature: 2 }),
    roots.map((root) => root / total),
  );
});

test("the nucleus ends with the token that reaches the wanted share", () => {
  expectShares(shares({ ...all, topP: 0.7 }), [0.5 / 0.8, 0.3 / 0.8, 0, 0]);
  expectShares(shares({ ...all, topP: 0.81 }), [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0]);
  expectShares(shares({ ...all, topP: 0.01 }), [1, 0, 0, 0]);
});

test("top-k comes before the nucleus, as in transformers", () => {
  // Of 0.5, 0.3 and 0.15, renormalised, the first two have 0.84.
  expectShares(shares({ ...all, topK: 3, topP: 0.84 }), [0.5 / 0.8, 0.3 / 0.8, 0, 0]);
});

test("banned ids are never drawn, and others take their places among the first k", () => {
  expectShares(shares({ ...all, topK: 2, bannedFrom: 9 }), [0.5 / 0.8, 0.3 / 0.8, 0, 0]);
  expectShares(shares({ ...all, topK: 2, bannedFrom: 7 }), [0, 0.3 / 0.35, 0, 0.05 / 0.35]);
  expect(chooseToken(id, logp, { ...all, temperature: 0, bannedFrom: 3 }, createRandom("x"))).toBe(2);
  expect(chooseToken(id, logp, { ...all, bannedFrom: 1 }, createRandom("x"))).toBe(-1);
});

test("as many candidates are asked for as an exact answer needs", () => {
  expect(candidatesNeeded(1000, { ...all, temperature: 0 })).toBe(1);
  expect(candidatesNeeded(1000, { ...all, temperature: 0, bannedFrom: 990 })).toBe(11);
  expect(candidatesNeeded(1000, { ...all, topK: 40, bannedFrom: 990 })).toBe(50);
  expect(candidatesNeeded(1000, all)).toBe(1000);
  expect(candidatesNeeded(30, { ...all, topK: 40 })).toBe(30);
});

test("the same seed draws the same tokens", () => {
  const draw = (seed: string): number[] => {
    const random = createRandom(seed);
    return Array.from({ length: 20 }, () => chooseToken(id, logp, all, random));
  };
  expect(draw("a")).toEqual(draw("a"));
  expect(draw("a")).not.toEqual(draw("b"));
});
