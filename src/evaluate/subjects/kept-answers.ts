/** A model under test whose answers are written down as they come, and never asked for twice. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { FusechatError } from "../../errors.ts";
import { openKeptLines } from "../kept-lines.ts";
import type { Answer, AnswerSettings, Dialogue, Subject } from "./subject.ts";

interface KeptAnswer extends Answer {
  readonly key: string;
  /** The dialogue's id and the model's name, for readers. */
  readonly id: string;
  readonly model: string;
}

const keptAnswer: z.ZodType<KeptAnswer> = z.object({
  key: z.string(),
  id: z.string(),
  model: z.string(),
  text: z.string(),
  finish: z.enum(["stop", "length", "refused"]),
});

/** `file` may hold the answers of several models; disposing of the result disposes of `subject`. */
export async function keepAnswers(subject: Subject, file: string): Promise<Subject> {
  const lines = await openKeptLines(file, keptAnswer, "an answer");
  return {
    name: subject.name,
    identity: subject.identity,
    answer: async (dialogues, settings, signal, onAnswer) => {
      const keys = dialogues.map((dialogue) => answerKey(subject.identity, dialogue, settings));
      const answers: (Answer | undefined)[] = [];
      const missing: number[] = [];
      for (const [index, key] of keys.entries()) {
        const line = await lines.get(key);
        if (line === null) {
          missing.push(index);
          continue;
        }
        const answer = { text: line.text, finish: line.finish };
        answers[index] = answer;
        await onAnswer?.(index, answer);
      }
      if (missing.length > 0) {
        const keep = async (place: number, answer: Answer): Promise<void> => {
          const index = missing[place]!;
          await lines.append({ key: keys[index]!, id: dialogues[index]!.id, model: subject.name, ...answer });
          answers[index] = answer;
          await onAnswer?.(index, answer);
        };
        const asked = missing.map((index) => dialogues[index]!);
        try {
          await subject.answer(asked, settings, signal, keep);
        } catch (error) {
          if (!(error instanceof FusechatError) || error.code !== "failed") throw error;
          const kept = `${lines.count} answers are kept in ${file}, and the same command goes on from there`;
          throw new FusechatError("failed", `${error.message}; ${kept}`, error);
        }
      }
      return answers.map((answer) => answer!);
    },
    putAway: async () => {
      await subject.putAway?.();
    },
    dispose: async () => {
      await lines.close();
      await subject.dispose();
    },
  };
}

/** Lower-case hex SHA-256 of everything that an answer depends on. */
function answerKey(
  identity: string,
  { id, turns }: Dialogue,
  { temperature, topP = 1, maxTokens, seed }: AnswerSettings,
): string {
  const asked = turns.map(({ role, content }) => [role, content]);
  const parts = [identity, id, asked, temperature, maxTokens, seed, ...(topP === 1 ? [] : [topP])];
  return createHash("sha256").update(JSON.stringify(parts), "utf8").digest("hex");
}
