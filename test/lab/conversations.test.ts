import { expect, test } from "vitest";
import { drawConversations } from "#src/lab/conversations.js";
import { SKILLS } from "#src/lab/skills/index.js";
import { createRandom } from "#src/random.js";

test("a draw is the same every time, and a shorter one is its beginning", () => {
  const draw = drawConversations("test", 40);
  expect(drawConversations("test", 40)).toEqual(draw);
  expect(drawConversations("test", 7)).toEqual(draw.slice(0, 7));
  expect(drawConversations("another", 40)).not.toEqual(draw);
});

test("the first conversations of a draw are pinned: the world is part of the shipped models", () => {
  const contents = drawConversations("pinned", 3).map((conversation) => conversation.turns.map((turn) => turn.content));
  expect(contents).toMatchInlineSnapshot(`
    [
      [
        "What is the capital of Ziria?",
        "The capital of Ziria is Remburg.",
        "And of Vinova?",
        "It is Stimport.",
      ],
      [
        "How is the weather in Lixton?",
        "Today mist, tomorrow clouds, then clouds.",
      ],
      [
        "Tell me what Drolin likes to eat.",
        "Drolin likes mango best, then dates.",
      ],
    ]
  `);
});

test("a mixture of zero leaves a skill out", () => {
  const mixture = Object.fromEntries(SKILLS.map((skill) => [skill.name, skill.name === "add" ? 1 : 0]));
  expect(drawConversations("test", 30, mixture).every((conversation) => conversation.skill === "add")).toBe(true);
});

test("the floor of a conversation is the sum of -log P of its answers", () => {
  const visit = drawConversations("test", 200).find((conversation) => conversation.skill === "visit")!;
  const skill = SKILLS.find((candidate) => candidate.name === "visit")!;
  const random = createRandom("search");
  let question = skill.ask(random);
  while (question.user !== visit.turns[0]!.content) question = skill.ask(random);
  const first = question.answers.get(visit.turns[1]!.content)!;
  const second = question.next!(visit.turns[1]!.content).answers.get(visit.turns[3]!.content)!;
  expect(visit.floorNats).toBeCloseTo(-Math.log(first) - Math.log(second), 10);
});

test("deterministic skills have a floor of zero", () => {
  for (const conversation of drawConversations("test", 200)) {
    const skill = SKILLS.find((candidate) => candidate.name === conversation.skill)!;
    if (!skill.random) expect(conversation.floorNats).toBe(0);
  }
});
