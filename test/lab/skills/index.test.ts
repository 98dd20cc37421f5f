import { expect, test } from "vitest";
import { entropyNats } from "#src/lab/answers.js";
import { SKILLS } from "#src/lab/skills/index.js";
import { createRandom } from "#src/random.js";

test("at least half of the skills draw their answers", () => {
  expect(SKILLS).toHaveLength(8);
  expect(SKILLS.filter((skill) => skill.random).length).toBeGreaterThanOrEqual(4);
});

for (const skill of SKILLS) {
  test(`${skill.name}: the probabilities of every question's answers, follow-ups included, add up to one`, () => {
    const random = createRandom(`test/${skill.name}`);
    for (let i = 0; i < 50; i++) {
      const question = skill.ask(random);
      const tables = [question.answers];
      if (question.next !== undefined) {
        for (const answer of question.answers.keys()) tables.push(question.next(answer).answers);
      }
      for (const answers of tables) {
        const total = [...answers.values()].reduce((sum, probability) => sum + probability, 0);
        expect(total).toBeCloseTo(1, 10);
        expect(Math.min(...answers.values())).toBeGreaterThan(0);
      }
    }
  });

  test(`${skill.name}: entropy is ${skill.random ? "positive" : "zero"}, as the skill says`, () => {
    const { answers } = skill.ask(createRandom("test"));
    if (skill.random) expect(entropyNats(answers)).toBeGreaterThan(0.5);
    else expect(entropyNats(answers)).toBe(0);
  });
}

test("the same person has the same tastes whatever the wording of the question", () => {
  const food = SKILLS.find((skill) => skill.name === "food")!;
  const random = createRandom("test");
  const tables = new Map<string, unknown>();
  for (let i = 0; i < 400; i++) {
    const { user, answers } = food.ask(random);
    const person = user.split(" ").find((word) => /^[A-Z]/.test(word) && word !== "What" && word !== "Tell")!;
    if (tables.has(person)) expect(answers).toBe(tables.get(person));
    tables.set(person, answers);
  }
  expect(tables.size).toBe(40);
});
