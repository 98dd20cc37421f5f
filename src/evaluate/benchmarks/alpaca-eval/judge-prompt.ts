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
/** How a message begins; it goes on to the next mark of an end. */
const BEGINNING = /<\|im_start\|>[ \t]*(\w+)[ \t]*\r?\n/g;
const END = "<|im_end|>";
const PLACE = /\{(instruction|output_1|output_2)\}/g;

export async function readJudgePrompt(path: string | undefined): Promise<(values: JudgePromptValues) => ChatMessage[]> {
  if (path === undefined) throw inputError("alpaca-eval", `needs --judge-prompt: ${WHAT}`);
  if (!(await exists(path))) throw inputError(path, `no such file; expected ${WHAT}`);
  const text = await readText(path);
  const messages = messagesOf(text).map(({ role, content }) => ({
    role: roleOf(path, role),
    content: content.trim(),
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

/** Message by message: a pattern for the whole of one would look for the end of every beginning, in a file of many. */
function messagesOf(text: string): { readonly role: string; readonly content: string }[] {
  const messages: { readonly role: string; readonly content: string }[] = [];
  BEGINNING.lastIndex = 0;
  for (let found = BEGINNING.exec(text); found !== null; found = BEGINNING.exec(text)) {
    const end = text.indexOf(END, BEGINNING.lastIndex);
    if (end < 0) break;
    messages.push({ role: found[1]!, content: text.slice(BEGINNING.lastIndex, end) });
    BEGINNING.lastIndex = end + END.length;
  }
  BEGINNING.lastIndex = 0;
  return messages;
}

function roleOf(path: string, role: string): ChatMessage["role"] {
  if (role === "system" || role === "user" || role === "assistant") return role;
  throw inputError(path, `expected messages of system, user or assistant, found ${JSON.stringify(role)}`);
}
