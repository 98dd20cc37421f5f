/**
 * Reads a chat completion (OpenAI API reference, "The chat completion object"). It comes from outside: its bytes must
 * be UTF-8, its shape that of the reference, its log-probabilities numbers of at most 0. What a server may leave out
 * (usage, log-probabilities, the reason for the end) is null.
 */

import { z } from "zod";
import { problemOf } from "../../issue.ts";
import type { Unreadable } from "../http/connection.ts";
import { excerpt } from "../http/excerpt.ts";
import type { ChatReply, TokenLogprob } from "./endpoint.ts";

/** Rounding puts some servers' certain tokens a little above 0. */
const LARGEST_LOGPROB = 0.01;

const count = z.number().int().min(0);
const tokenLogprob = z.looseObject({ token: z.string(), logprob: z.number().max(LARGEST_LOGPROB) });
const completion = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        message: z.looseObject({ content: z.string().nullish(), refusal: z.string().nullish() }),
        finish_reason: z.string().nullish(),
        logprobs: z
          .looseObject({ content: z.array(tokenLogprob.extend({ top_logprobs: z.array(tokenLogprob) })).nullish() })
          .nullish(),
      }),
    )
    .min(1),
  usage: z.looseObject({ prompt_tokens: count.nullish(), completion_tokens: count.nullish() }).nullish(),
});

/** `redact` takes secrets out of a text; it goes over all that is kept of the reply. */
export function readReply(body: Uint8Array, redact: (text: string) => string): ChatReply | Unreadable {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    return { problem: "expected a chat completion in UTF-8, found other bytes", cut: false };
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    const cut = /^\s*\{/.test(text) && !text.trimEnd().endsWith("}");
    const found = cut ? "a reply that ends in the middle" : excerpt(redact(text));
    return { problem: `expected a chat completion in JSON, found ${found}`, cut };
  }
  const parsed = completion.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const place = issue?.path.join(".") || "the reply";
    return {
      problem: `expected a chat completion, found ${place} wrong (${issue === undefined ? "shape" : problemOf(issue)})`,
      cut: false,
    };
  }
  const choice = parsed.data.choices[0]!;
  const usage = parsed.data.usage;
  return {
    // An escape may stand for half a character, where a server cuts an answer between two tokens of one.
    text: redact(Buffer.from(choice.message.content ?? choice.message.refusal ?? "", "utf8").toString("utf8")),
    finish: choice.finish_reason ?? "unknown",
    topLogprobs: topLogprobsOf(choice.logprobs?.content ?? [], redact),
    promptTokens: usage?.prompt_tokens ?? null,
    answerTokens: usage?.completion_tokens ?? null,
  };
}

/** null where no place has any: such a server was asked for them and keeps them to itself. */
function topLogprobsOf(
  places: readonly { readonly top_logprobs: readonly TokenLogprob[] }[],
  redact: (text: string) => string,
): TokenLogprob[][] | null {
  if (places.every(({ top_logprobs }) => top_logprobs.length === 0)) return null;
  return places.map(({ top_logprobs }) =>
    top_logprobs.map(({ token, logprob }) => ({ token: redact(token), logprob })),
  );
}
