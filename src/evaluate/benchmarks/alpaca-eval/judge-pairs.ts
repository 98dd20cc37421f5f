/**
 * Asks the judge which of two answers is better: one token, `m` or `M`, and its preference is how likely it was to say
 * the one rather than the other. Which answer is called `m`, and stands first, is drawn for each instruction, because
 * judges have a taste for places; with `bothOrders` each is asked both ways and the two preferences are averaged.
 */
import type { StageContext } from "../../../engine/context.ts";
import type { ChatMessage, ChatReply, TokenLogprob } from "../../../engine/endpoint/endpoint.ts";
import { failure, inputError } from "../../../errors.ts";
import { createRandom } from "../../../random.ts";
import type { Judge, JudgeQuestion } from "../../judges/judge.ts";
import type { JudgePromptValues } from "./judge-prompt.ts";
import type { Orders } from "./result.ts";

export interface OutputPair {
  readonly instruction: string;
  readonly dataset?: string;
  readonly baselineOutput: string;
  readonly output: string;
}

export interface PairQuestions {
  readonly prompt: (values: JudgePromptValues) => ChatMessage[];
  readonly bothOrders: boolean;
  /** Draws which answer stands first. */
  readonly seed: string;
}

export interface PairJudgment {
  /** 1 to 2; null where the judge's answer could not be read. */
  readonly preference: number | null;
  /** What the judge said, in the order asked; none where nothing had to be asked. */
  readonly replies: readonly ChatReply[];
  readonly orders?: Orders;
}

type First = "baseline" | "model";

/** What is known without a judge: equal answers are a draw, and a model that answers nothing loses. */
function settled({ baselineOutput, output }: OutputPair): number | null {
  if (output === baselineOutput) return 1.5;
  return output.trim() === "" ? 1 : null;
}

/** One question a pair, or two; none where it is settled. */
export function* pairQuestions(pairs: readonly OutputPair[], options: PairQuestions): Generator<JudgeQuestion> {
  for (const [place, pair] of pairs.entries()) {
    if (settled(pair) !== null) continue;
    for (const first of ordersOf(pair, options)) {
      const answers = first === "baseline" ? [pair.baselineOutput, pair.output] : [pair.output, pair.baselineOutput];
      const messages = options.prompt({
        instruction: pair.instruction,
        output_1: answers[0]!,
        output_2: answers[1]!,
      });
      yield { id: `${place}/${first}`, request: { messages, temperature: 1, maxTokens: 1, topLogprobs: 5 } };
    }
  }
}

function ordersOf({ instruction }: OutputPair, { bothOrders, seed }: PairQuestions): First[] {
  if (bothOrders) return ["baseline", "model"];
  return [createRandom(`alpaca-eval/order/${seed}/${instruction}`).integer(2) === 0 ? "baseline" : "model"];
}

/** In the order of the pairs. Where the judge failed on some, it is told after all others are kept. */
export async function judgePairs(
  judge: Judge,
  pairs: readonly OutputPair[],
  options: PairQuestions,
  stage: string,
  { reporter, signal }: StageContext,
): Promise<PairJudgment[]> {
  const total = pairs.reduce((sum, pair) => sum + (settled(pair) === null ? ordersOf(pair, options).length : 0), 0);
  const replies = new Map<string, ChatReply>();
  const failures: string[] = [];
  reporter.report({ type: "start", stage, total, unit: "judgments" });
  for await (const answer of judge.ask(pairQuestions(pairs, options), { reporter, ...(signal && { signal }) })) {
    if ("failure" in answer) {
      failures.push(answer.failure);
    } else {
      refuseWithoutLogprobs(judge.model, answer.reply);
      replies.set(answer.id, answer.reply);
    }
    reporter.report({ type: "progress", stage, done: replies.size + failures.length, total, unit: "judgments" });
  }
  if (replies.size < total) {
    const reason = failures[0] ?? "the judge gave no answer";
    throw failure(
      stage,
      `${total - replies.size} of ${total} judgments are missing (${reason}); run the same command again to ask for them`,
    );
  }
  return pairs.map((pair, place) => {
    const known = settled(pair);
    if (known !== null) return { preference: known, replies: [] };
    const asked = ordersOf(pair, options).map((first) => ({ first, reply: replies.get(`${place}/${first}`)! }));
    const preferences = asked.map(({ first, reply }) => preferenceFor(first, reply));
    const preference = preferences.includes(null) ? null : mean(preferences as number[]);
    return {
      preference,
      replies: asked.map(({ reply }) => reply),
      ...(options.bothOrders && { orders: [preferences[0]!, preferences[1]!] as const }),
    };
  });
}

function refuseWithoutLogprobs(model: string, { text, topLogprobs }: ChatReply): void {
  if (topLogprobs !== null || text === "") return;
  throw inputError(
    `judge ${model}`,
    "answers without log-probabilities, which AlpacaEval 2.0's preference is made of; take a server that knows " +
      "logprobs and top_logprobs 5, and another --out folder, because this answer is kept",
  );
}

/** From 1, the baseline's answer, to 2, the model's; null where neither is named. */
function preferenceFor(first: First, { topLogprobs }: ChatReply): number | null {
  const share = firstShare(topLogprobs?.[0] ?? []);
  if (share === null) return null;
  return first === "model" ? 1 + share : 2 - share;
}

/** P(m) / (P(m) + P(M)); a token that is not among those returned counts as impossible, both of them as no answer. */
export function firstShare(top: readonly TokenLogprob[]): number | null {
  const logprobs = (token: string): number =>
    top.find((one) => one.token === token)?.logprob ?? Number.NEGATIVE_INFINITY;
  const [m, M] = [logprobs("m"), logprobs("M")];
  const highest = Math.max(m, M);
  if (highest === Number.NEGATIVE_INFINITY) return null;
  return Math.exp(m - highest) / (Math.exp(m - highest) + Math.exp(M - highest));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
