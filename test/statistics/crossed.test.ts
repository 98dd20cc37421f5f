/** Differences over seeds and conversations: what they are, and that their intervals cover what they should. */
import { expect, test } from "vitest";
import { createRandom } from "#src/random.js";
import { crossedDifference } from "#src/statistics/crossed.js";

const SEEDS = 5;
const UNITS = 60;

/** Costs of two ways, the second dearer by `effect` a byte, with spreads of seeds, conversations and both. */
function draw(random: ReturnType<typeof createRandom>, effect: number, spread: { seed: number; unit: number }) {
  const sizes = Array.from({ length: UNITS }, () => 10 + Math.floor(20 * random.next()));
  const units = sizes.map(() => spread.unit * random.normal());
  const models = Array.from({ length: SEEDS }, () => {
    const own = spread.seed * random.normal();
    return sizes.map((bytes, c) => (effect + own + units[c]! + 0.1 * random.normal()) * bytes);
  });
  return { sizes, models, zeros: models.map((costs) => costs.map(() => 0)) };
}

test("is the difference of the ratios, the mean over seeds", () => {
  const sizes = [2, 3];
  const found = crossedDifference(
    [
      [4, 6],
      [2, 3],
    ],
    [
      [1, 1],
      [1, 1],
    ],
    sizes,
    "test",
  );
  expect(found.value).toBeCloseTo(((10 - 2) / 5 + (5 - 2) / 5) / 2, 12);
  expect(found.low).toBeLessThan(found.value);
  expect(found.high).toBeGreaterThan(found.value);
});

test("of equal models is nothing, and as sure as can be", () => {
  const costs = [
    [1, 2],
    [3, 4],
  ];
  expect(crossedDifference(costs, costs, [1, 1], "test")).toEqual({ value: 0, low: 0, high: 0, p: 1 });
});

// 300 draws have a standard error of 1.3 points at 95 %.
test.each([
  ["seeds decide", { seed: 0.5, unit: 0.1 }],
  ["conversations decide", { seed: 0.01, unit: 1 }],
  ["both do", { seed: 0.1, unit: 1 }],
])(
  "where %s the interval covers the true difference in 91 to 99 of 100 draws, and p is as often small",
  (_, spread) => {
    const random = createRandom(`crossed/${spread.seed}/${spread.unit}`);
    let [covered, small] = [0, 0];
    const draws = 300;
    for (let n = 0; n < draws; n++) {
      const { sizes, models, zeros } = draw(random, 0, spread);
      const { low, high, p } = crossedDifference(models, zeros, sizes, `test ${n}`, { resamples: 400 });
      if (low <= 0 && 0 <= high) covered++;
      if (p < 0.05) small++;
    }
    expect(covered / draws).toBeGreaterThan(0.91);
    expect(covered / draws).toBeLessThan(0.99);
    expect(small / draws).toBeLessThan(0.09);
  },
);

test("an effect of the size that is detectable in the mean is found in about 80 of 100 draws", () => {
  const random = createRandom("crossed/power");
  const spread = { seed: 0.1, unit: 0.3 };
  const of = (effect: number, n: number) => {
    const { sizes, models, zeros } = draw(random, effect, spread);
    return crossedDifference(models, zeros, sizes, `test ${n}`, { resamples: 200 });
  };
  const detectable = Array.from({ length: 100 }, (_, n) => of(0, n).detectable!).reduce(
    (sum, one) => sum + one / 100,
    0,
  );
  const found = Array.from({ length: 200 }, (_, n) => of(detectable, n).p).filter((p) => p < 0.05).length;
  // 200 draws have a standard error of 3 points.
  expect(found / 200).toBeGreaterThan(0.7);
  expect(found / 200).toBeLessThan(0.92);
});
