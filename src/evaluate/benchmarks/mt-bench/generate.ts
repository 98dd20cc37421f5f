/**
 * The model's answers: both turns of every question, the second asked with the first answer in the dialogue. Questions
 * of one temperature are asked together, so that a local model answers them in batches (FastChat, gen_model_answer.py).
 */
import type { Answer, Dialogue, Subject } from "../../subjects/subject.ts";
import type { AnswerTurns, ModelAnswers } from "./answers.ts";
import type { Question, Turn } from "./questions.ts";

export interface GenerationOptions {
  /** New tokens an answer. */
  readonly maxTokens: number;
  readonly seed: string;
}

export async function generateAnswers(
  subject: Subject,
  questions: readonly Question[],
  options: GenerationOptions,
  signal: AbortSignal | undefined,
): Promise<ModelAnswers> {
  const first = await answerTurn(1, () => "");
  const second = await answerTurn(2, ({ id }) => first.get(id)!.text);
  const both = questions.map(({ id }): [number, Answer, Answer] => [id, first.get(id)!, second.get(id)!]);
  return {
    model: subject.name,
    answers: new Map(both.map(([id, one, two]): [number, AnswerTurns] => [id, [one.text, two.text]])),
    cut: both.flatMap(([, ...answers]) => answers).filter(({ finish }) => finish === "length").length,
    refused: both.filter(([, ...answers]) => answers.some(({ finish }) => finish === "refused")).length,
  };

  async function answerTurn(turn: Turn, before: (question: Question) => string): Promise<ReadonlyMap<number, Answer>> {
    const answers = new Map<number, Answer>();
    for (const temperature of [...new Set(questions.map((question) => question.temperature))]) {
      const group = questions.filter((question) => question.temperature === temperature);
      const dialogues = group.map((question) => dialogueOf(question, turn, before(question)));
      const found = await subject.answer(dialogues, { temperature, ...options }, signal);
      for (const [index, { id }] of group.entries()) answers.set(id, found[index]!);
    }
    return answers;
  }
}

/** What the model is asked; `firstAnswer` is what it said to the first turn, and only the second shows it. */
export function dialogueOf({ id, turns }: Question, turn: Turn, firstAnswer: string): Dialogue {
  const [first, second] = turns.map((content) => ({ role: "user", content }) as const);
  const asked = turn === 1 ? [first!] : [first!, { role: "assistant", content: firstAnswer } as const, second!];
  return { id: `${id}/${turn}`, turns: asked };
}
