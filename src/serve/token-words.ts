/** Tokens as replies name them: a text, and the bytes that it stands for. */
import type { TokenTable } from "../tokenizer/tokenizer.ts";

export interface TokenWord {
  readonly token: string;
  readonly bytes: readonly number[] | null;
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Special tokens as the file spells them; bytes that are part of a character as OpenAI writes them, `bytes:\xe4`. */
export function tokenWord(tokenizer: TokenTable, id: number): TokenWord {
  const bytes = tokenizer.tokenBytes(id);
  if (bytes === null) return { token: tokenizer.tokenText(id) ?? `<${id}>`, bytes: null };
  try {
    return { token: strict.decode(bytes), bytes: [...bytes] };
  } catch {
    const hex = Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
    return { token: `bytes:${hex}`, bytes: [...bytes] };
  }
}

/** Logarithm of a probability in JSON, which has no infinity; vLLM's number for it. Rounding may put it above 0. */
export function jsonLogprob(logprob: number): number {
  return logprob === Number.NEGATIVE_INFINITY ? -9999 : Math.min(0, logprob);
}
