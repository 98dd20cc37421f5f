import { describe, expect, test } from "vitest";
import { checkpointInterval, learningRate, totalSteps, warmupSteps } from "#src/fuse/schedule.js";

describe("learningRate", () => {
  test("six steps with a warm-up of one are those of the golden log", () => {
    const rates = Array.from({ length: 6 }, (_, step) => learningRate(1e-3, step, 6, 0.1));
    const expected = [
      0.0005, 0.001, 0.0009045084971874737, 0.0006545084971874737, 0.00034549150281252633, 0.00009549150281252633,
    ];
    for (const [step, rate] of rates.entries()) expect(Math.abs(rate - expected[step]!)).toBeLessThan(1e-15);
  });

  test("without warm-up the first step has the peak, with nothing but warm-up no step has it", () => {
    expect(learningRate(2, 0, 10, 0)).toBe(2);
    expect(learningRate(2, 9, 10, 1)).toBeCloseTo((2 * 10) / 11, 12);
  });

  test("the warm-up rises to the peak and the cosine falls from it", () => {
    const rates = Array.from({ length: 40 }, (_, step) => learningRate(1, step, 40, 0.25));
    const peak = rates.indexOf(Math.max(...rates));
    expect(peak).toBe(10);
    expect(rates[peak]).toBe(1);
    for (let step = 1; step < 40; step++) expect(rates[step]! > rates[step - 1]!).toBe(step <= peak);
    expect(rates[39]).toBeGreaterThan(0);
  });
});

test("products that are whole but for rounding do not add a warm-up step", () => {
  expect(0.07 * 100).toBeGreaterThan(7);
  expect(warmupSteps(100, 0.07)).toBe(7);
  expect(warmupSteps(101, 0.07)).toBe(8);
  expect(warmupSteps(2227, 0.03)).toBe(67);
  expect(warmupSteps(5, 0)).toBe(0);
});

test("an epoch's last, smaller batch is a step of its own", () => {
  expect(totalSteps(8, 8, 6)).toBe(6);
  expect(totalSteps(9, 8, 6)).toBe(12);
  // The paper's run: 95,000 conversations in batches of 128, three epochs.
  expect(totalSteps(95_000, 128, 3)).toBe(2229);
});

test("checkpoints come ten a training, and never closer than ten steps", () => {
  expect(checkpointInterval(6)).toBe(10);
  expect(checkpointInterval(100)).toBe(10);
  expect(checkpointInterval(2229)).toBe(223);
});
