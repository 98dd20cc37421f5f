/** `fusechat chat`: a conversation with a model in the terminal, the answers printed as they come. */
import { readStopIds } from "../data/stop-ids.ts";
import { openConversationTokeniser } from "../data/tokenise.ts";
import type { EngineModel, GenerateOptions } from "../engine/engine.ts";
import { inputError } from "../errors.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { declareEngine, type EngineFlags, engineGiven, withoutEngine } from "./engine-options.ts";
import { MODEL_WORDS, modelFolder } from "./model-option.ts";
import { integer, number } from "./option-values.ts";
import { oneQuestion, questionsFrom } from "./questions.ts";
import { type ChatAnswer, openTalk } from "./talk.ts";
import { declareTemplate, type TemplateFlags, templateSettings } from "./template-options.ts";
import type { Verb } from "./verb.ts";

interface Options extends TemplateFlags, EngineFlags {
  readonly prompt?: string;
  readonly system?: string;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly maxTokens: number;
  readonly seed: number;
}

/** Exit code after Ctrl-C (FORMATS). */
const INTERRUPTED = 130;

export const chatVerb: Verb = {
  name: "chat",
  summary: "talk to a model in the terminal",
  declare: (command) => {
    command
      .argument("<model>", MODEL_WORDS)
      .option("--prompt <text>", "ask this and end; without it every line of the input is a question")
      .option("--system <text>", "system turn")
      .option("--temperature <t>", "0 is greedy", number({ min: 0 }), 0.7)
      .option("--top-p <share>", "keep the most probable tokens of this mass", number({ min: 0, max: 1 }), 0.95)
      .option("--top-k <n>", "keep this many most probable tokens; 0 keeps all", integer({ min: 0 }), 0)
      .option("--max-tokens <n>", "longest answer", integer({ min: 1 }), 512)
      .option("--seed <n>", "of the sampling", integer(), 0);
    declareTemplate(command);
    declareEngine(command);
  },
  run: async (invocation, positional, given) => {
    const asked = positional[0]!;
    const folder = await modelFolder(invocation, asked);
    const options = given as unknown as Options;
    const tokeniser = await openConversationTokeniser(folder, {
      maxLength: 2 ** 31 - 1,
      settings: templateSettings(options),
    });
    let model: EngineModel | undefined;
    try {
      const stopIds = await readStopIds(folder, tokeniser);
      model = await (await invocation.engine(engineGiven(withoutEngine(options).flags))).open(folder);
      const generation = generationOptions(options, stopIds, tokeniser.tokenizer);
      const talk = openTalk(model, tokeniser, generation, options.system);
      const write = (text: string): void => {
        if (!invocation.json) process.stdout.write(text);
      };
      const answers: ChatAnswer[] = [];
      const onTerminal = process.stdin.isTTY === true && process.stderr.isTTY === true && !invocation.json;
      const questions =
        options.prompt === undefined
          ? questionsFrom(process.stdin, onTerminal ? process.stderr : null, invocation.signal)
          : oneQuestion(options.prompt, invocation.signal);
      for await (const question of questions.lines) {
        if (question.trim() === "") continue;
        answers.push(await questions.answering((signal) => talk.ask(question, write, signal)));
        write("\n");
      }
      if (questions.interrupted()) return INTERRUPTED;
      if (answers.length === 0) throw inputError("chat", "expected a question on the input or by --prompt, found none");
      invocation.document(options.prompt === undefined ? { model: asked, answers } : { model: asked, ...answers[0] });
    } finally {
      await model?.dispose();
      await tokeniser.dispose();
    }
    return undefined;
  },
};

/** Ids of a padded head are never drawn: they have no text. */
function generationOptions(options: Options, stopIds: readonly number[], tokenizer: Tokenizer): GenerateOptions {
  return {
    maxTokens: options.maxTokens,
    stopIds,
    temperature: options.temperature,
    topP: options.topP,
    topK: options.topK,
    seed: `chat/${options.seed}`,
    bannedFrom: tokenizer.size,
  };
}
