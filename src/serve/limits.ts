/** What one client may ask of a server, so that no request takes it away from the others. */
export interface ServeLimits {
  /** Bytes of a request's body. */
  readonly bodyBytes: number;
  /** Tokens of a prompt; the model's context ends it in any case. */
  readonly promptTokens: number;
  /** Tokens of an answer; the model's context ends it in any case. */
  readonly answerTokens: number;
  /** Answers, and prompts, of one request. */
  readonly choices: number;
  /** Candidates a token whose log-probabilities are given. */
  readonly logprobs: number;
  /** Requests that are worked on or wait; one more is refused with 429. */
  readonly inFlight: number;
  /** Seconds from the beginning to the end of a request. */
  readonly seconds: number;
}

export const SERVE_LIMITS: ServeLimits = {
  bodyBytes: 4 * 2 ** 20,
  promptTokens: 65_536,
  answerTokens: 16_384,
  choices: 128,
  logprobs: 20,
  inFlight: 256,
  seconds: 3600,
};
