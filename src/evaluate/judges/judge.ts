/**
 * A judge: a model behind an endpoint that is asked for its opinion of answers. Every reply is written to the ledger
 * at once, under the hash of the whole request, and never asked for again; so a killed run goes on where it was, and
 * a ledger beside the results shows what the judge really said.
 */
import type { ChatReply, ChatRequest, EndpointOptions } from "../../engine/endpoint/endpoint.ts";
import type { Reporter } from "../../reporter.ts";

export interface JudgeOptions {
  readonly endpoint: EndpointOptions;
  /** Most calls of this run, repeated attempts not counted; what the ledger holds is no call. */
  readonly maxCalls?: number;
  /** Most tokens of this run, questions and answers together, as the server counts them; a call without a reply is 0. */
  readonly maxTokens?: number;
  /** Counts over all judges that are given the same object: one budget for every model of a run. */
  readonly spent?: { calls: number; tokens: number };
}

export interface JudgeQuestion {
  /** Unique among the questions of one `ask`. */
  readonly id: string;
  readonly request: ChatRequest;
}

/** `failure`: why this question has no reply (attempts used up, refused by the server); never an invented one. */
export type JudgeAnswer =
  | { readonly id: string; readonly reply: ChatReply; readonly fromLedger: boolean }
  | { readonly id: string; readonly failure: string };

export interface JudgeEstimate {
  /** Questions that the ledger cannot answer; equal ones count once. */
  readonly calls: number;
  readonly fromLedger: number;
  /** Estimated at four bytes a token. */
  readonly promptTokens: number;
  readonly answerTokensAtMost: number;
}

export interface Judge {
  /** The server's name of the model. */
  readonly model: string;
  estimate(questions: Iterable<JudgeQuestion>): JudgeEstimate;
  /**
   * Answers in the order in which they come, each once; questions are drawn only as there is room for them, so
   * neither grows with their number. Throws, what is finished being kept, where the rest would fare no better: wrong
   * key, model or address (`input`); budget spent, server gone, or no reply to any question (`failed`); `interrupted`.
   */
  ask(
    questions: Iterable<JudgeQuestion>,
    context: { readonly reporter: Reporter; readonly signal?: AbortSignal },
  ): AsyncIterable<JudgeAnswer>;
  dispose(): Promise<void>;
}
