/**
 * A model under test in a folder. Dialogues are rendered with its own template and answered in batches, the longest
 * first, with the key-value cache; each answer draws from a stream that its dialogue's id seeds. The engine's model is
 * opened with the first dialogue and can be put away between two calls, so that an ensemble holds one at a time.
 */

import type { Conversation, Turn } from "../../data/conversation.ts";
import { readStopIds } from "../../data/stop-ids.ts";
import { type ConversationTokeniser, openConversationTokeniser, type Prompt } from "../../data/tokenise.ts";
import type { StageContext } from "../../engine/context.ts";
import type { EngineModel } from "../../engine/engine.ts";
import { isLogProbability } from "../../engine/log-probability.ts";
import { failure, throwIfInterrupted } from "../../errors.ts";
import { openedReasoning } from "../reasoning.ts";
import { folderIdentity } from "./folder-identity.ts";
import type { Answer, Dialogue, Subject, SubjectReference } from "./subject.ts";

/** Dialogues a call of the engine, which runs 16 at a time and lets others join; what a kill loses at most. */
const AT_ONCE = 32;

export interface FolderSubject extends Subject {
  /**
   * Nats per byte of each answer to its dialogue under this model, as held-out counts them; null where the template or
   * the context of this model does not take the whole, or the answer is empty.
   */
  natsPerByte(
    asked: readonly { dialogue: Dialogue; answer: Answer }[],
    signal?: AbortSignal,
  ): Promise<(number | null)[]>;
  putAway(): Promise<void>;
}

export async function openFolder(
  { name, folder, template }: Extract<SubjectReference, { kind: "folder" }>,
  context: StageContext,
): Promise<FolderSubject> {
  const { maxPositions } = await context.engine.facts(folder);
  const longest = maxPositions ?? 2 ** 31 - 1;
  const tokeniser = await openConversationTokeniser(folder, {
    maxLength: longest,
    ...(template !== undefined && { settings: template }),
  });
  const { identity: engine } = context.engine;
  const identity = [await folderIdentity(folder, tokeniser.identity), engine ?? []].flat().join(" ");
  let model: EngineModel | undefined;
  const opened = async (): Promise<EngineModel> => {
    model ??= await context.engine.open(folder);
    return model;
  };
  const putAway = async (): Promise<void> => {
    const open = model;
    model = undefined;
    await open?.dispose();
  };
  try {
    const stopIds = await readStopIds(folder, tokeniser);
    return {
      name,
      identity,
      answer: async (dialogues, { temperature, topP = 1, maxTokens, seed }, signal = context.signal, onAnswer) => {
        const stage = `answers ${name}`;
        const total = dialogues.length;
        context.reporter.report({ type: "start", stage, total, unit: "dialogues" });
        const answers: Answer[] = [];
        let done = 0;
        const give = async (index: number, answer: Answer): Promise<void> => {
          answers[index] = answer;
          await onAnswer?.(index, answer);
          context.reporter.report({ type: "progress", stage, done: ++done, total, unit: "dialogues" });
        };
        const { prompts, refused } = await promptsFor(tokeniser, dialogues, longest);
        for (const { index } of refused) await give(index, { text: "", finish: "refused" });
        if (refused.length > 0) {
          const message = `${refused.length} of ${total} dialogues are not answered: ${refused[0]!.reason}`;
          context.reporter.report({ type: "warning", stage, message });
        }
        for (let first = 0; first < prompts.length; first += AT_ONCE) {
          throwIfInterrupted(signal, stage);
          const batch = prompts.slice(first, first + AT_ONCE);
          const generated = await (await opened()).generate(
            batch.map(({ ids }) => ids),
            {
              maxTokens,
              stopIds,
              temperature,
              topP,
              topK: 0,
              seed,
              seeds: batch.map(({ index }) => `${seed}/${dialogues[index]!.id}`),
              bannedFrom: tokeniser.tokenizer.size,
              ...(signal === undefined ? {} : { signal }),
            },
          );
          // Aborted, the engine gives what there is: parts of answers, which are none.
          throwIfInterrupted(signal, stage);
          for (const [place, { index, ids, text }] of batch.entries()) {
            const answerIds = generated[place]!;
            const room = Math.min(maxTokens, longest - ids.length);
            const finish = answerIds.length < room ? "stop" : "length";
            // A prompt may open the reasoning: without the mark, one that is cut would pass for an answer.
            const answer = `${openedReasoning(text)}${tokeniser.tokenizer.decode(answerIds)}`;
            await give(index, { text: answer.trim(), finish });
          }
        }
        context.reporter.report({ type: "end", stage, summary: `${total} answers` });
        return answers;
      },
      natsPerByte: async (asked, signal = context.signal) => {
        const read: (number | null)[] = [];
        for (let first = 0; first < asked.length; first += AT_ONCE) {
          throwIfInterrupted(signal, `reading ${name}`);
          read.push(...(await readAnswers(tokeniser, await opened(), asked.slice(first, first + AT_ONCE))));
        }
        return read;
      },
      putAway,
      dispose: async () => {
        await putAway();
        await tokeniser.dispose();
      },
    };
  } catch (error) {
    await tokeniser.dispose();
    throw error;
  }
}

interface PlacedPrompt extends Prompt {
  /** Of the dialogue. */
  readonly index: number;
}

/** Longest first, so that prompts of like lengths are read together; what leaves no room for an answer is refused. */
async function promptsFor(
  tokeniser: ConversationTokeniser,
  dialogues: readonly Dialogue[],
  longest: number,
): Promise<{ prompts: PlacedPrompt[]; refused: { index: number; reason: string }[] }> {
  const prompts: PlacedPrompt[] = [];
  const refused: { index: number; reason: string }[] = [];
  for (const [index, prompt] of (await tokeniser.prompts(dialogues.map(({ turns }) => turns))).entries()) {
    if ("refused" in prompt) {
      refused.push({ index, reason: `the template refuses ${dialogues[index]!.id} (${prompt.refused})` });
    } else if (prompt.ids.length >= longest) {
      const reason = `${dialogues[index]!.id} has ${prompt.ids.length} tokens, and the model's context ends at ${longest}`;
      refused.push({ index, reason });
    } else {
      prompts.push({ ...prompt, index });
    }
  }
  prompts.sort((a, b) => b.ids.length - a.ids.length || a.index - b.index);
  return { prompts, refused };
}

async function readAnswers(
  tokeniser: ConversationTokeniser,
  model: EngineModel,
  asked: readonly { dialogue: Dialogue; answer: Answer }[],
): Promise<(number | null)[]> {
  // Only the answer itself gives rows: what the assistant has said before it is context.
  const before = ({ turns }: Dialogue): Turn[] =>
    turns.map((turn) => (turn.role === "assistant" ? { ...turn, trained: false } : turn));
  const conversations = asked.map(
    ({ dialogue, answer }): Conversation => ({
      id: dialogue.id,
      turns: [...before(dialogue), { role: "assistant", content: answer.text }],
    }),
  );
  const sequences = (await tokeniser.tokenise(conversations, 0)).flatMap((found, index) => {
    if ("refused" in found) return [];
    const length = Buffer.byteLength(conversations[index]!.turns.at(-1)!.content, "utf8");
    // Cut before its end, or its white space not rendered: only a reading of the whole answer counts.
    const whole = found.rows.byteEnd.includes(length);
    if (length === 0 || !whole) return [];
    return [{ index, bytes: found.bytes, ids: found.ids, positions: found.rows.position }];
  });
  const read: (number | null)[] = asked.map(() => null);
  if (sequences.length === 0) return read;
  const { labelLogp } = await model.rows(sequences, 1);
  let row = 0;
  for (const { index, bytes, positions } of sequences) {
    let nats = 0;
    for (let i = 0; i < positions.length; i++, row++) {
      nats = isLogProbability(labelLogp[row]!) ? nats - labelLogp[row]! : Number.NaN;
    }
    if (!Number.isFinite(nats)) {
      throw failure(model.folder, `gives an answer ${nats} nats; its weights are broken or overflow`);
    }
    read[index] = nats / bytes;
  }
  return read;
}
