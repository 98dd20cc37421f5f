/** The project's random numbers: results depend on every one of them. */
import { expect, test } from "vitest";
import { createRandom } from "#src/random.js";

test("a text gives the same numbers for ever", () => {
  const random = createRandom("a text");
  expect([random.integer(2 ** 32), random.integer(10), random.next(), random.normal()]).toEqual([
    3272352439, 6, 0.6502550706176323, -1.2821736943190642,
  ]);
  expect(random.shuffle([1, 2, 3, 4, 5])).toEqual([5, 1, 2, 3, 4]);
});

test("words are the integers below 2^32, and the stream goes on behind them", () => {
  const one = createRandom("words");
  const other = createRandom("words");
  const words = new Uint32Array(1000);
  one.words(words);
  expect([...words]).toEqual(Array.from(words, () => other.integer(2 ** 32)));
  expect(one.next()).toBe(other.next());
});
