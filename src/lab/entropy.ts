/**
 * The entropy of a skill: expected nats of all answers of one of its conversations, which no model can go below. Exact
 * for every question, follow-ups included; the mean is over questions as they are asked.
 */
import { createRandom } from "../random.ts";
import { entropyNats } from "./answers.ts";
import type { Question, Skill } from "./skills/index.ts";

/** H(first answer) + sum over first answers of P(answer) * H(what follows), nats. */
export function questionEntropyNats({ answers, next }: Question): number {
  let nats = entropyNats(answers);
  if (next === undefined) return nats;
  for (const [answer, probability] of answers) nats += probability * questionEntropyNats(next(answer));
  return nats;
}

/** Mean over `asked` questions of a fixed stream: the skills ask about 24 to 48 different things each. */
export function skillEntropyNats(skill: Skill, asked = 2000): number {
  const random = createRandom(`fusechat/lab/entropy/${skill.name}`);
  let nats = 0;
  for (let i = 0; i < asked; i++) nats += questionEntropyNats(skill.ask(random));
  return nats / asked;
}
