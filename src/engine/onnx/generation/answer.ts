/** One answer on its way: what a batch needs of it, and how its next token is drawn. */
import type { Random } from "../../../random.ts";
import type { AnswerEnd, TokenLogprobs } from "../../engine.ts";
import { candidatesNeeded, chooseToken, type SamplingOptions } from "../../sampling.ts";
import type { Followers, Pass } from "./decoder.ts";

export interface Answer {
  /** The prompt's ids, then the answer's. */
  readonly ids: number[];
  /** The most ids there may be. */
  readonly room: number;
  readonly sampling: SamplingOptions;
  /** The answer ends with any of these, which is not part of it. */
  readonly stopIds: readonly number[];
  readonly random: Random;
  /** Log-probabilities of each token, and of this many most probable ones beside it; null for none. */
  readonly topLogprobs: number | null;
  readonly onToken: (id: number, logprobs: TokenLogprobs | null) => void;
  /** Heard once, as soon as no token will follow. */
  readonly onEnd?: (end: AnswerEnd) => void;
  /** True where the answer is to end as it is. */
  readonly stopped: () => boolean;
  open: boolean;
  /** Positions of the prompt that were taken over from another sequence. */
  reused: number;
}

/** Up to this many candidates are sorted out by the program; for more it gives all logits in their own order. */
const MOST_SORTED = 64;

/** What a pass must say so that the next token of all of these answers can be drawn. */
export function wantedOf(answers: readonly Answer[], allowed: number): Pick<Pass, "candidates" | "logSum"> {
  let most = 1;
  for (const { sampling, topLogprobs } of answers) {
    most = Math.max(most, candidatesNeeded(allowed, sampling), topLogprobs ?? 0);
  }
  // Few sizes, for each is a program of its own.
  const candidates = most > MOST_SORTED ? allowed : Math.min(allowed, 2 ** Math.ceil(Math.log2(most)));
  return { candidates, logSum: answers.some(({ topLogprobs }) => topLogprobs !== null) };
}

/** Draws the next token of an answer. */
export function drawToken(answer: Answer, followers: Followers): void {
  const { id, logit } = followers;
  const chosen = chooseToken(id, logit, answer.sampling, answer.random);
  const logprobs = answer.topLogprobs === null ? null : logprobsOf(chosen, followers, answer.topLogprobs);
  if (answer.stopIds.includes(chosen)) {
    endAnswer(answer, { id: chosen, logprobs });
    return;
  }
  answer.ids.push(chosen);
  answer.onToken(chosen, logprobs);
  if (answer.ids.length >= answer.room) endAnswer(answer);
}

/** `stop` is the token that ended it, where one did. */
export function endAnswer(answer: Answer, stop: AnswerEnd["stop"] = null): void {
  answer.open = false;
  answer.onEnd?.({ stop, reused: answer.reused });
}

/** Of the model's own distribution, whatever it was drawn with. */
function logprobsOf(chosen: number, { id, logit, logSum }: Followers, count: number): TokenLogprobs {
  const sum = logSum ?? Number.NaN;
  const places = mostProbable(id, logit, count);
  return {
    logprob: logit[id[chosen] === chosen ? chosen : id.indexOf(chosen)]! - sum,
    top: places.map((place) => ({ id: id[place]!, logprob: logit[place]! - sum })),
  };
}

/** Places of the `count` largest logits, descending; of equal ones the lower id first. */
function mostProbable(id: Int32Array, logit: Float32Array, count: number): number[] {
  const best: number[] = [];
  const isBehind = (a: number, b: number): boolean =>
    logit[a]! < logit[b]! || (logit[a] === logit[b] && id[a]! > id[b]!);
  for (let place = 0; place < logit.length; place++) {
    if (best.length === count && (count === 0 || !isBehind(best[count - 1]!, place))) continue;
    let at = best.length;
    while (at > 0 && isBehind(best[at - 1]!, place)) at--;
    best.splice(at, 0, place);
    if (best.length > count) best.pop();
  }
  return best;
}
