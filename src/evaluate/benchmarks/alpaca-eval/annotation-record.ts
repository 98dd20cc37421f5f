/** A judgment as a record of `annotations.json`, with what the judge sent, as the benchmark keeps it. */
import type { ChatReply } from "../../../engine/endpoint/endpoint.ts";
import type { OutputPair, PairJudgment } from "./judge-pairs.ts";

export interface AnnotationNames {
  readonly baseline: string;
  readonly model: string;
  readonly judge: string;
}

/** `preference_by_order` is ours: the preference with the baseline's answer first, and with the model's. */
export function annotationRecord(pair: OutputPair, judgment: PairJudgment, names: AnnotationNames): unknown {
  const { preference, replies, orders } = judgment;
  return {
    instruction: pair.instruction,
    output_1: pair.baselineOutput,
    generator_1: names.baseline,
    dataset: pair.dataset ?? null,
    output_2: pair.output,
    generator_2: names.model,
    annotator: names.judge,
    preference,
    ...(orders && { preference_by_order: orders }),
    raw_completion: replies.length > 1 ? replies.map(rawCompletion) : (replies.map(rawCompletion)[0] ?? null),
  };
}

function rawCompletion({ text, finish, topLogprobs, promptTokens, answerTokens }: ChatReply): unknown {
  const content = topLogprobs?.map((top) => ({
    token: text,
    logprob: top.find(({ token }) => token === text)?.logprob ?? null,
    top_logprobs: top,
  }));
  return {
    finish_reason: finish,
    logprobs: content === undefined ? null : { content },
    text,
    total_tokens: promptTokens === null || answerTokens === null ? null : promptTokens + answerTokens,
  };
}
