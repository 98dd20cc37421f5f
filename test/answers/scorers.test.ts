/** What replies of judges and reward models are worth, and how readings become one number. */
import { describe, expect, test } from "vitest";
import { readScore, scoreRequest } from "#src/answers/scorers/judge.js";
import { meanReadings } from "#src/answers/scorers/nats.js";
import { readReward } from "#src/answers/scorers/reward.js";

describe("a judge's score", () => {
  test.each([
    ["7", 7],
    ["Score: 8", 8],
    ["8/10", 8],
    ["9 out of 10.", 9],
    ["7.5", 7.5],
    ["**10**", 10],
  ])("%j is read", (reply, score) => {
    expect(readScore(reply)).toBe(score);
  });

  test.each(["", "good", "7 or 8", "0", "11", "between 3 and 4"])("%j is not guessed at", (reply) => {
    expect(readScore(reply)).toBeNull();
  });

  test("is asked for with the conversation, the reference where there is one, and the answer", () => {
    const dialogue = { id: "prompt 1", turns: [{ role: "user", content: "1 + 1" }] as const };
    const { content } = scoreRequest({ dialogue, reference: "two" }, "2").messages[0]!;
    expect(content).toContain("<user>\n1 + 1\n</user>");
    expect(content).toContain("<reference answer>\ntwo\n</reference answer>");
    expect(content).toContain("<answer>\n2\n</answer>");
    expect(scoreRequest({ dialogue, reference: null }, "2").messages[0]!.content).not.toContain("reference answer");
  });
});

describe("a reward", () => {
  test.each([
    ['{"score": 1.5}', 1.5],
    ['{"score": -3, "more": true}', -3],
    ['{"data": [{"index": 0, "data": [0.25]}], "usage": {}}', 0.25],
    ['{"data": [{"data": [[0.25]]}]}', 0.25],
  ])("%s is read", (reply, score) => {
    expect(readReward(Buffer.from(reply))).toEqual({ score });
  });

  test.each([
    ["{}", false],
    ['{"score": "1"}', false],
    ['{"score": null}', false],
    ['{"score": 1e999}', false],
    ['{"data": []}', false],
    ['{"data": [{"data": [1, 2]}]}', false],
    ['{"data": [{"data": [1]}, {"data": [2]}]}', false],
    ['{"scor', true],
    ["", true],
    ["[1", true],
  ])("%j is no reward", (reply, cut) => {
    expect(readReward(Buffer.from(reply))).toEqual({ problem: expect.stringContaining("expected"), cut });
  });
});

test("readings are averaged over the readers that could read all answers", () => {
  expect(meanReadings([])).toEqual([]);
  expect(
    meanReadings([
      [1, 2],
      [3, 8],
    ]),
  ).toEqual([2, 5]);
  expect(
    meanReadings([
      [1, null],
      [3, 8],
    ]),
  ).toEqual([3, 8]);
  expect(meanReadings([[1, null]])).toEqual([null, null]);
});
