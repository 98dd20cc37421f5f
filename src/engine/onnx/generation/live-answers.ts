/**
 * Answers that are asked for one by one, while others are on their way: a running batch a model, turn by turn between the
 * other calls of the engine.
 */
import { createRandom } from "../../../random.ts";
import type { AnswerEnd, AnswerOptions, TokenLogprobs } from "../../engine.ts";
import type { LoadedModel } from "../loaded-model.ts";
import { availableMemory } from "../memory-check.ts";
import type { Runtime } from "../runtime.ts";
import { type Answer, endAnswer } from "./answer.ts";
import { openDecoder } from "./decoder.ts";
import { openKeptPrefixes } from "./kept-prefixes.ts";
import { openRunningBatch, type RunningBatch } from "./running-batch.ts";

/** Most memory for beginnings that may come again: 11,000 positions of a model of 135 million parameters. */
const PREFIX_BYTES = 2 ** 29;
/** And the most of what is free when the first answer is asked for. */
const PREFIX_SHARE = 1 / 8;

export interface AnswerListener {
  readonly onToken: (id: number, logprobs: TokenLogprobs | null) => void;
  readonly stopped: () => boolean;
}

export interface LiveAnswers {
  /** Ends when the answer has; throws what ended the batch. */
  answer(prompt: Int32Array, options: Omit<AnswerOptions, "signal">, listener: AnswerListener): Promise<AnswerEnd>;
  /** One pass for the answers on their way; false where there are none. What goes wrong ends them all. */
  turn(): Promise<boolean>;
  /** Ends all answers with an error. */
  fail(error: unknown): void;
}

/** `allowed` ids, from 0 on, may be drawn. */
export async function openLiveAnswers(loaded: LoadedModel, runtime: Runtime, allowed: number): Promise<LiveAnswers> {
  const { model } = loaded;
  const decoder = openDecoder(loaded, runtime, allowed);
  const prefixes = openKeptPrefixes(model, Math.min(PREFIX_BYTES, PREFIX_SHARE * availableMemory()));
  const openBatch = (): RunningBatch => openRunningBatch(model, decoder, { joins: "at once", prefixes });
  let batch = openBatch();
  const failures = new Map<Answer, (error: unknown) => void>();
  const fail = (error: unknown): void => {
    batch = openBatch();
    for (const reject of failures.values()) reject(error);
    failures.clear();
  };
  return {
    answer: (prompt, options, { onToken, stopped }) =>
      new Promise((resolve, reject) => {
        const room = Math.min(prompt.length + options.maxTokens, model.config.maxPositions ?? Number.POSITIVE_INFINITY);
        const answer: Answer = {
          ids: [...prompt],
          room,
          sampling: options,
          stopIds: options.stopIds,
          random: createRandom(options.seed),
          topLogprobs: options.topLogprobs,
          onToken,
          onEnd: (end) => {
            failures.delete(answer);
            resolve(end);
          },
          stopped,
          open: true,
          reused: 0,
        };
        failures.set(answer, reject);
        if (allowed === 0 || prompt.length === 0 || room <= prompt.length) endAnswer(answer);
        else batch.join([answer]);
      }),
    turn: async () => {
      try {
        return await batch.turn();
      } catch (error) {
        fail(error);
        return false;
      }
    },
    fail,
  };
}
