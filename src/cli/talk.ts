/**
 * A conversation with a model that grows by a question and an answer at a time. The whole of it is rendered anew with
 * the model's template for each answer, so the model reads exactly what it was trained on.
 */
import type { Turn } from "../data/conversation.ts";
import type { ConversationTokeniser } from "../data/tokenise.ts";
import type { EngineModel, GenerateOptions } from "../engine/engine.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** One question and what came of it. */
export interface ChatAnswer {
  readonly question: string;
  readonly answer: string;
  readonly prompt_tokens: number;
  readonly answer_tokens: number;
  /** False where the answer was cut at the limit of tokens, or by its signal. */
  readonly finished: boolean;
}

export interface Talk {
  /**
   * Answers with all turns so far as context; `write` gets the answer as it comes, whole characters at a time. Aborted,
   * the answer ends as it is and is a turn all the same.
   */
  ask(question: string, write: (text: string) => void, signal?: AbortSignal): Promise<ChatAnswer>;
}

export function openTalk(
  model: Pick<EngineModel, "generate">,
  tokeniser: Pick<ConversationTokeniser, "prompt" | "tokenizer">,
  generation: GenerateOptions,
  system?: string,
): Talk {
  let turns: readonly Turn[] = system === undefined ? [] : [{ role: "system", content: system }];
  return {
    ask: async (question, write, signal) => {
      const asked: readonly Turn[] = [...turns, { role: "user", content: question }];
      const { ids } = await tokeniser.prompt(asked);
      const stream = textStream(tokeniser.tokenizer, write);
      // Each answer draws from a stream of its own, whatever was drawn before.
      const options = { ...generation, seed: `${generation.seed}/${asked.length}` };
      const [answerIds] = await model.generate(
        [ids],
        signal === undefined ? options : { ...options, signal },
        (_, id) => stream.push(id),
      );
      const answer = stream.end();
      turns = [...asked, { role: "assistant", content: answer }];
      const count = answerIds?.length ?? 0;
      return {
        question,
        answer,
        prompt_tokens: ids.length,
        answer_tokens: count,
        finished: count < generation.maxTokens && signal?.aborted !== true,
      };
    },
  };
}

/** Text of tokens as they come: part of a character waits for the rest, white space at the beginning is left out. */
function textStream(tokenizer: Tokenizer, write: (text: string) => void): { push(id: number): void; end(): string } {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let answer = "";
  const add = (decoded: string): void => {
    const text = answer === "" ? decoded.trimStart() : decoded;
    answer += text;
    if (text !== "") write(text);
  };
  return {
    push: (id) => {
      const bytes = tokenizer.tokenBytes(id);
      if (bytes !== null) add(decoder.decode(bytes, { stream: true }));
    },
    end: () => {
      add(decoder.decode());
      return answer.trimEnd();
    },
  };
}
