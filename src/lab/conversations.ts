/**
 * Conversations drawn from the world. A draw is named by a text ("fusion", "held-out", "train/pivot/step 7"), and
 * conversation n of a draw depends on that name and n alone: draws are disjoint streams, any of them can be made
 * again in any order, and a question may come up in two of them while its answer is drawn anew.
 */
import { type Conversation, conversationId, type Turn } from "../data/conversation.ts";
import { createRandom, type Random } from "../random.ts";
import { drawAnswer } from "./answers.ts";
import { type Question, SKILLS, type Skill } from "./skills/index.ts";

/** How often each skill comes up, by name; a skill that is not named comes up as often as one of weight 1. */
export type Mixture = Readonly<Record<string, number>>;

export function drawConversations(draw: string, count: number, mixture: Mixture = {}): Conversation[] {
  return Array.from({ length: count }, (_, index) => drawConversation(`${draw}/${index}`, mixture));
}

function drawConversation(seed: string, mixture: Mixture): Conversation {
  const random = createRandom(`fusechat/lab/draw/${seed}`);
  const skill = drawSkill(random, mixture);
  const turns: Turn[] = [];
  let floorNats = 0;
  let question: Question | undefined = skill.ask(random);
  while (question !== undefined) {
    const answer = drawAnswer(question.answers, random);
    floorNats -= Math.log(question.answers.get(answer)!);
    turns.push({ role: "user", content: question.user }, { role: "assistant", content: answer });
    question = question.next?.(answer);
  }
  // A certain answer has log 1 = 0; adding zero turns -0 into 0.
  return { id: conversationId(turns), turns, skill: skill.name, floorNats: floorNats + 0 };
}

function drawSkill(random: Random, mixture: Mixture): Skill {
  const weights = SKILLS.map((skill) => mixture[skill.name] ?? 1);
  let left = random.next() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, skill] of SKILLS.entries()) {
    left -= weights[index]!;
    if (left < 0) return skill;
  }
  return SKILLS.at(-1)!;
}
