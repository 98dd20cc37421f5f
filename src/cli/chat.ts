/**
 * `fusechat chat`: a conversation with a model in the terminal. The whole conversation so far is rendered anew with the
 * model's template for each answer, so the model reads exactly what it was trained on.
 */
import { createInterface } from "node:readline";
import type { Turn } from "../data/conversation.ts";
import { type ConversationTokeniser, openConversationTokeniser } from "../data/tokenise.ts";
import type { EngineModel, GenerateOptions } from "../engine/engine.ts";
import { inputError } from "../errors.ts";
import { readSpecialTokens } from "../tokenizer/special.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { integer, number } from "./option-values.ts";
import type { Verb } from "./verb.ts";

interface Options {
  readonly prompt?: string;
  readonly system?: string;
  readonly temperature: number;
  readonly topP: number;
  readonly maxTokens: number;
  readonly seed: number;
}

/** Exit code after Ctrl-C (FORMATS). */
const INTERRUPTED = 130;

/** One question and what came of it. */
export interface ChatAnswer {
  readonly question: string;
  readonly answer: string;
  readonly prompt_tokens: number;
  readonly answer_tokens: number;
  /** False where the answer was cut at `--max-tokens`. */
  readonly finished: boolean;
}

export const chatVerb: Verb = {
  name: "chat",
  summary: "talk to a model in the terminal",
  declare: (command) => {
    command
      .argument("<model>", "the model's folder")
      .option("--prompt <text>", "ask this and end; without it every line of the input is a question")
      .option("--system <text>", "system turn")
      .option("--temperature <t>", "0 is greedy", number({ min: 0 }), 0.7)
      .option("--top-p <share>", "keep the most probable tokens of this mass", number({ min: 0, max: 1 }), 0.95)
      .option("--max-tokens <n>", "longest answer", integer({ min: 1 }), 512)
      .option("--seed <n>", "of the sampling", integer(), 0);
  },
  run: async (invocation, positional, given) => {
    const folder = positional[0]!;
    const options = given as unknown as Options;
    const { stopIds } = await readSpecialTokens(folder);
    const tokeniser = await openConversationTokeniser(folder, { maxLength: 2 ** 31 - 1 });
    let model: EngineModel | undefined;
    try {
      const endOfTurn = await endOfTurnOf(tokeniser);
      model = await (await invocation.engine()).open(folder);
      const generation = generationOptions(options, [...stopIds, ...endOfTurn], tokeniser.tokenizer);
      const talk = openTalk(model, tokeniser, generation, options.system);
      const write = (text: string): void => {
        if (!invocation.json) process.stdout.write(text);
      };
      const answers: ChatAnswer[] = [];
      const interactive = options.prompt === undefined && process.stdin.isTTY === true && !invocation.json;
      const questions =
        options.prompt === undefined ? linesOf(process.stdin, interactive, invocation.signal) : [options.prompt];
      for await (const question of questions) {
        if (question.trim() === "") continue;
        answers.push(await talk.ask(question, write));
        write("\n");
        if (invocation.signal.aborted) break;
      }
      if (invocation.signal.aborted) return INTERRUPTED;
      if (answers.length === 0) throw inputError("chat", "expected a question on the input or by --prompt, found none");
      invocation.document(options.prompt === undefined ? { model: folder, answers } : { model: folder, ...answers[0] });
    } finally {
      await model?.dispose();
      await tokeniser.dispose();
    }
    return undefined;
  },
};

export interface Talk {
  /** Answers with all turns so far as context; `write` gets the answer as it comes. */
  ask(question: string, write: (text: string) => void): Promise<ChatAnswer>;
}

/** A conversation that grows by a question and an answer at a time. */
export function openTalk(
  model: Pick<EngineModel, "generate">,
  tokeniser: Pick<ConversationTokeniser, "prompt" | "tokenizer">,
  generation: GenerateOptions,
  system?: string,
): Talk {
  let turns: readonly Turn[] = system === undefined ? [] : [{ role: "system", content: system }];
  return {
    ask: async (question, write) => {
      const asked: readonly Turn[] = [...turns, { role: "user", content: question }];
      const { ids } = await tokeniser.prompt(asked);
      const stream = textStream(tokeniser.tokenizer, write);
      // Each answer draws from a stream of its own, whatever was drawn before.
      const seed = `${generation.seed}/${asked.length}`;
      const [answerIds] = await model.generate([ids], { ...generation, seed }, (_, id) => stream.push(id));
      const answer = stream.end();
      turns = [...asked, { role: "assistant", content: answer }];
      const count = answerIds?.length ?? 0;
      return {
        question,
        answer,
        prompt_tokens: ids.length,
        answer_tokens: count,
        finished: count < generation.maxTokens,
      };
    },
  };
}

/** Ids of a padded head are never drawn: they have no text. */
function generationOptions(options: Options, stopIds: readonly number[], tokenizer: Tokenizer): GenerateOptions {
  return {
    maxTokens: options.maxTokens,
    stopIds: [...new Set(stopIds)],
    temperature: options.temperature,
    topP: options.topP,
    topK: 0,
    seed: `chat/${options.seed}`,
    bannedFrom: tokenizer.size,
  };
}

/**
 * The token with which the template ends an answer. Some folders name another token as eos (that of plain texts), and
 * the model would go on to write the user's next turn.
 */
async function endOfTurnOf(tokeniser: ConversationTokeniser): Promise<number[]> {
  const turns: Turn[] = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello" },
  ];
  const [tokenised] = await tokeniser.tokenise([{ id: "", turns }], 0);
  if (tokenised === undefined || "refused" in tokenised) return [];
  const last = tokenised.rows.position.at(-1);
  const id = last === undefined ? undefined : tokenised.ids[last];
  return id !== undefined && tokeniser.tokenizer.isSpecial(id) ? [id] : [];
}

/** Text of tokens as they come: part of a character waits for the rest, white space at the beginning is left out. */
function textStream(tokenizer: Tokenizer, write: (text: string) => void): { push(id: number): void; end(): string } {
  const decoder = new TextDecoder("utf-8");
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

/** Questions, one a line; on a terminal with a prompt on stderr. */
async function* linesOf(input: NodeJS.ReadStream, interactive: boolean, signal: AbortSignal): AsyncGenerator<string> {
  const reader = createInterface({ input, terminal: false });
  signal.addEventListener("abort", () => reader.close(), { once: true });
  if (interactive) process.stderr.write("> ");
  for await (const line of reader) {
    yield line;
    if (interactive) process.stderr.write("> ");
  }
  if (interactive) process.stderr.write("\n");
}
