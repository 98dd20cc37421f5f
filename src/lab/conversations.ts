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
  return Array.from({ length: count }, (_, index) => {
    const { skill, asked } = drawAsked(`${draw}/${index}`, mixture);
    const turns: Turn[] = asked.flatMap(({ question, answer }) => [
      { role: "user", content: question.user },
      { role: "assistant", content: answer },
    ]);
    const floorNats = asked.reduce((sum, { question, answer }) => sum - Math.log(question.answers.get(answer)!), 0);
    // A certain answer has log 1 = 0; adding zero turns -0 into 0.
    return { id: conversationId(turns), turns, skill: skill.name, floorNats: floorNats + 0 };
  });
}

/** What a conversation of a draw asks, with all that could be answered, and what is. */
export interface Asked {
  readonly skill: Skill;
  /** One a turn of the assistant. */
  readonly asked: readonly { readonly question: Question; readonly answer: string }[];
}

/** Conversation n of a draw is that of `<draw>/<n>`. */
export function drawAsked(seed: string, mixture: Mixture = {}): Asked {
  const random = createRandom(`fusechat/lab/draw/${seed}`);
  const skill = drawSkill(random, mixture);
  const asked: { question: Question; answer: string }[] = [];
  let question: Question | undefined = skill.ask(random);
  while (question !== undefined) {
    const answer = drawAnswer(question.answers, random);
    asked.push({ question, answer });
    question = question.next?.(answer);
  }
  return { skill, asked };
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
