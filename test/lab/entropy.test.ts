import { expect, test } from "vitest";
import { drawConversations } from "#src/lab/conversations.js";
import { questionEntropyNats, skillEntropyNats } from "#src/lab/entropy.js";
import { SKILLS } from "#src/lab/skills/index.js";

test("the entropy of a conversation adds what follows each answer, by that answer's probability", () => {
  const coin = new Map([
    ["heads", 0.5],
    ["tails", 0.5],
  ]);
  const next = (answer: string) => ({ user: "again?", answers: answer === "heads" ? coin : new Map([["no", 1]]) });
  expect(questionEntropyNats({ user: "toss", answers: coin, next })).toBeCloseTo(1.5 * Math.LN2, 12);
});

test.each(SKILLS)("$name: the mean floor of drawn conversations agrees with the entropy", (skill) => {
  const mixture = Object.fromEntries(SKILLS.map(({ name }) => [name, name === skill.name ? 1 : 0]));
  const floors = drawConversations(`entropy test/${skill.name}`, 1500, mixture).map(({ floorNats }) => floorNats!);
  const mean = floors.reduce((sum, nats) => sum + nats, 0) / floors.length;
  // The floor of one conversation varies by at most 1.8 nats: four standard errors of 1,500 are 0.19.
  expect(Math.abs(mean - skillEntropyNats(skill))).toBeLessThan(0.19);
});
