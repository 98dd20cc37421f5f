import { expect, test } from "vitest";
import { batched } from "#src/tokenizer/batched.js";

test("what is asked for at once is one call, and each gets its own answer or the error of all", async () => {
  const calls: (readonly number[])[] = [];
  const half = batched(async (numbers: readonly number[]) => {
    calls.push(numbers);
    if (numbers.includes(0)) throw new Error("nought");
    return numbers.map((number) => number / 2);
  });
  expect(await Promise.all([half(2), half(6)])).toEqual([1, 3]);
  expect(await half(8)).toBe(4);
  const failed = await Promise.allSettled([half(1), half(0)]);
  expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(calls).toEqual([[2, 6], [8], [1, 0]]);
});
