/**
 * One question to a model, held against the truth: the world knows the probability of every answer, and a model's own
 * probability of an answer is the product over its tokens, so the two can be compared answer by answer.
 */
import { conversationId } from "../data/conversation.ts";
import { readStopIds } from "../data/stop-ids.ts";
import { openConversationTokeniser } from "../data/tokenise.ts";
import type { Engine, EngineModel } from "../engine/engine.ts";
import { createRandom } from "../random.ts";
import type { Answers } from "./answers.ts";
import { MAX_LENGTH } from "./demo-recipe.ts";
import { type Question, SKILLS } from "./skills/index.ts";

export interface AskedQuestion {
  readonly question: string;
  /** What the model says, its most probable token at every step. */
  readonly answer: string;
  /** P(answer) in the world; 0 where the world never says this. */
  readonly answerProbability: number;
  /** The world's most probable answers, with the model's probability of the same texts. */
  readonly likely: readonly { readonly text: string; readonly world: number; readonly model: number }[];
}

const MAX_TOKENS = 48;

/** A question of a random skill, so that there is a distribution to get right. */
export function demoQuestion(): Question {
  return SKILLS.find(({ name }) => name === "visit")!.ask(createRandom("fusechat/lab/demo question"));
}

export async function askModel(engine: Engine, folder: string, question: Question, show = 5): Promise<AskedQuestion> {
  const tokeniser = await openConversationTokeniser(folder, { maxLength: MAX_LENGTH });
  try {
    const model = await engine.open(folder);
    try {
      const { ids } = await tokeniser.prompt([{ role: "user", content: question.user }]);
      const stopIds = await readStopIds(folder, tokeniser);
      const [generated] = await model.generate([ids], {
        maxTokens: MAX_TOKENS,
        stopIds,
        temperature: 0,
        topP: 1,
        topK: 0,
        seed: "demo",
      });
      const answer = tokeniser.tokenizer.decode(generated!).trim();
      const likely = mostLikely(question.answers, show);
      const probabilities = await answerProbabilities(model, tokeniser, question.user, likely);
      return {
        question: question.user,
        answer,
        answerProbability: question.answers.get(answer) ?? 0,
        likely: likely.map((text, index) => ({
          text,
          world: question.answers.get(text)!,
          model: probabilities[index]!,
        })),
      };
    } finally {
      await model.dispose();
    }
  } finally {
    await tokeniser.dispose();
  }
}

function mostLikely(answers: Answers, count: number): string[] {
  return [...answers]
    .sort((a, b) => b[1] - a[1])
    .slice(0, count)
    .map(([text]) => text);
}

/** P(text, end of turn | question) of each text, by the model's own tokenisation of it. */
async function answerProbabilities(
  model: EngineModel,
  tokeniser: Awaited<ReturnType<typeof openConversationTokeniser>>,
  user: string,
  texts: readonly string[],
): Promise<number[]> {
  const conversations = texts.map((text) => {
    const turns = [
      { role: "user", content: user },
      { role: "assistant", content: text },
    ] as const;
    return { id: conversationId(turns), turns };
  });
  const tokenised = await tokeniser.tokenise(conversations, 0);
  const sequences = tokenised.map((conversation) =>
    "refused" in conversation
      ? { ids: new Int32Array(), positions: new Int32Array() }
      : { ids: conversation.ids, positions: conversation.rows.position },
  );
  const { labelLogp } = await model.rows(sequences, 1);
  let row = 0;
  return sequences.map(({ positions }) => {
    let logp = 0;
    for (let i = 0; i < positions.length; i++) logp += labelLogp[row++]!;
    return Math.exp(logp);
  });
}
