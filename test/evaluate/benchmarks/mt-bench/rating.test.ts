import { expect, test } from "vitest";
import { parseRating } from "#src/evaluate/benchmarks/mt-bench/rating.js";

test("a rating is the first number in double brackets, else the first in single ones", () => {
  expect(parseRating("Good. Rating: [[7]]")).toBe(7);
  expect(parseRating("[[8.5]] or rather [[3]]")).toBe(8.5);
  expect(parseRating("As in [1], but Rating: [[10]]")).toBe(10);
  expect(parseRating("Rating: [6]")).toBe(6);
  expect(parseRating("[9.] and [2]")).toBe(9);
});

test("nothing else is a rating", () => {
  const none = [
    "",
    "7",
    "Rating: 7/10",
    "[[rating]]",
    "[[N/A]]",
    "[[ 7 ]]",
    "[[-1]]",
    "[[7/10]]",
    "Rating: [[seven]]",
    "$ERROR$",
  ];
  for (const text of none) expect([text, parseRating(text)]).toEqual([text, null]);
});

test("a number out of 1 to 10 is no rating, and no other number takes its place", () => {
  for (const text of ["[[0]]", "[[11]]", "[[75]] and [[7]]", "x[0] is 3, [7]", "[[0.99]]"]) {
    expect([text, parseRating(text)]).toEqual([text, null]);
  }
});
