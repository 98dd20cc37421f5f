/** The text of an answer from its tokens, at once or as they come; white space around it is no part of it. */
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

export function answerText(tokenizer: Tokenizer, ids: Iterable<number>): string {
  const stream = openAnswerText(tokenizer, () => {});
  for (const id of ids) stream.push(id);
  return stream.end();
}

/** Part of a character waits for the rest; white space at the beginning is left out, at the end taken off by `end`. */
export function openAnswerText(
  tokenizer: Tokenizer,
  write: (text: string) => void,
): { push(id: number): void; end(): string } {
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
