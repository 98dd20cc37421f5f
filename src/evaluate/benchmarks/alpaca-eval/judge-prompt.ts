/**
 * The judge's prompt, `alpaca_eval_clf.txt`: messages between `<|im_start|>role` and `<|im_end|>`, with places for the
 * instruction and the two answers. Places are filled in one pass over the file's own text, so an answer that holds the
 * name of a place, or such a mark, stays what it is.
 */
import type { ChatMessage } from "../../../engine/endpoint/endpoint.ts";
import { inputError } from "../../../errors.ts";
import { exists, readText } from "../../../formats/files.ts";

const PLACES = ["instruction", "output_1", "output_2"] as const;
export type JudgePromptValues = Readonly<Record<(typeof PLACES)[number], string>>;

const WHAT =
  "AlpacaEval 2.0's judge prompt, alpaca_eval's src/alpaca_eval/evaluators_configs/alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt";
const MESSAGE = /<\|im_start\|>[ \t]*(\w+)[ \t]*\r?\n([\s\S]*?)<\|im_end\|>/g;
const PLACE = /\{(instruction|output_1|output_2)\}/g;

export async function readJudgePrompt(path: string | undefined): Promise<(values: JudgePromptValues) => ChatMessage[]> {
  if (path === undefined) throw inputError("alpaca-eval", `needs --judge-prompt: ${WHAT}`);
  if (!(await exists(path))) throw inputError(path, `no such file; expected ${WHAT}`);
  const text = await readText(path);
  const messages = [...text.matchAll(MESSAGE)].map(([, role, content]) => ({
    role: roleOf(path, role!),
    content: content!.trim(),
  }));
  if (messages.length === 0) {
    throw inputError(
      path,
      `expected messages between <|im_start|> and <|im_end|>, found none; the file should be ${WHAT}`,
    );
  }
  for (const place of PLACES) {
    if (messages.some(({ content }) => content.includes(`{${place}}`))) continue;
    throw inputError(path, `expected a place for {${place}}, found none; the file should be ${WHAT}`);
  }
  return (values) =>
    messages.map(({ role, content }) => ({
      role,
      content: content.replace(PLACE, (_, place: keyof JudgePromptValues) => values[place]),
    }));
}

function roleOf(path: string, role: string): ChatMessage["role"] {
  if (role === "system" || role === "user" || role === "assistant") return role;
  throw inputError(path, `expected messages of system, user or assistant, found ${JSON.stringify(role)}`);
}
