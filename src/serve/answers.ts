/** Answers of a model to one prompt: drawn token by token, told piece by piece. */
import { randomUUID } from "node:crypto";
import type { TokenLogprobs } from "../engine/engine.ts";
import { internalError } from "../errors.ts";
import { openAnswerText } from "./answer-text.ts";
import type { ServedModel } from "./served-model.ts";

export interface AnswerSettings {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  /** Null draws otherwise each time. */
  readonly seed: number | null;
  readonly stops: readonly string[];
  /** Stop at none of the model's own end tokens. */
  readonly ignoreEnd: boolean;
  readonly topLogprobs: number | null;
}

export interface DrawnToken {
  readonly id: number;
  readonly logprobs: TokenLogprobs | null;
}

/** Text that can be said, and the tokens since the piece before. */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly DrawnToken[];
}

export interface DrawnAnswer extends Piece {
  readonly finish: "stop" | "length";
  /** The model's own end token, which is not part of the answer. */
  readonly end: DrawnToken | null;
  /** Tokens of the prompt that were not computed again. */
  readonly reused: number;
}

/**
 * The `choice`-th answer of a request. Throws the signal's reason where that ended it. `onPiece` hears the answer as it
 * comes.
 */
export async function drawAnswer(
  { engine, tokeniser, stopIds }: ServedModel,
  prompt: Int32Array,
  settings: AnswerSettings,
  choice: number,
  signal: AbortSignal,
  onPiece: (piece: Piece) => void = () => {},
): Promise<DrawnAnswer> {
  if (engine.answer === undefined) throw internalError("a model is served whose engine answers whole batches only");
  const { tokenizer } = tokeniser;
  const text = openAnswerText(tokenizer, settings.stops);
  const stop = new AbortController();
  const halt = (): void => stop.abort();
  if (signal.aborted) halt();
  signal.addEventListener("abort", halt);
  const tokens: DrawnToken[] = [];
  let said = "";
  let told = 0;
  const tell = (piece: string): void => {
    said += piece;
    if (piece === "" && (settings.topLogprobs === null || told === tokens.length)) return;
    onPiece({ text: piece, tokens: tokens.slice(told) });
    told = tokens.length;
  };
  const ending = engine.answer(
    prompt,
    {
      maxTokens: settings.maxTokens,
      stopIds: settings.ignoreEnd ? [] : stopIds,
      temperature: settings.temperature,
      topP: settings.topP,
      topK: settings.topK,
      bannedFrom: tokenizer.size,
      seed: `serve/${settings.seed ?? randomUUID()}/${choice}`,
      topLogprobs: settings.topLogprobs,
      signal: stop.signal,
    },
    (id, logprobs) => {
      // A token or two may be on their way after the last one that counts.
      if (text.isStopped() || signal.aborted) return;
      tokens.push({ id, logprobs });
      tell(text.push(id));
      if (text.isStopped()) halt();
    },
  );
  const end = await ending.finally(() => signal.removeEventListener("abort", halt));
  signal.throwIfAborted();
  tell(text.end());
  return {
    text: said,
    tokens,
    finish: end.stop !== null || text.isStopped() ? "stop" : "length",
    end: text.isStopped() ? null : end.stop,
    reused: end.reused,
  };
}
