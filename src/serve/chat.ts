/** `/v1/chat/completions` (OpenAI API reference, "Chat"): answers to a conversation, whole or as they come. */
import { randomUUID } from "node:crypto";
import type { TokenTable } from "../tokenizer/tokenizer.ts";
import { type AnswerSettings, type DrawnAnswer, type DrawnToken, drawAnswer } from "./answers.ts";
import { ApiError } from "./api-error.ts";
import { eventStream } from "./event-stream.ts";
import { type ChatRequest, samplingOf, turnsOf } from "./requests.ts";
import { beginWork, checkPrompt, type ServerState, type Work } from "./server-state.ts";
import { jsonLogprob, tokenWord } from "./token-words.ts";

export async function completeChat(state: ServerState, request: ChatRequest, client: AbortSignal): Promise<Response> {
  const settings = settingsOf(request);
  const work = await beginWork(state, request.model, client);
  let isStreamed = false;
  try {
    const prompt = await promptOf(work, request, state);
    const { context } = work.model;
    const room = Math.min(settings.maxTokens ?? state.limits.answerTokens, context - prompt.length);
    const answers: Answers = {
      state,
      work,
      prompt,
      settings: { ...settings, maxTokens: room },
      count: request.n ?? 1,
      head: {
        id: `chatcmpl-${randomUUID()}`,
        created: Math.floor(Date.now() / 1000),
        model: request.model,
      },
    };
    if (request.stream !== true) return Response.json(await whole(answers));
    isStreamed = true;
    const withUsage = request.stream_options?.include_usage === true;
    return eventStream(
      async (send) => {
        try {
          await inPieces(answers, withUsage, send);
        } finally {
          work.done();
        }
      },
      { client, leave: work.leave, report: state.report },
    );
  } finally {
    if (!isStreamed) work.done();
  }
}

interface Answers {
  readonly state: ServerState;
  readonly work: Work;
  readonly prompt: Int32Array;
  readonly settings: AnswerSettings;
  readonly count: number;
  readonly head: { readonly id: string; readonly created: number; readonly model: string };
}

function settingsOf(request: ChatRequest): Omit<AnswerSettings, "maxTokens"> & { maxTokens: number | null } {
  const wantsTop = (request.top_logprobs ?? 0) > 0;
  if (wantsTop && request.logprobs !== true) {
    throw new ApiError(400, "top_logprobs: needs logprobs to be true", "invalid_value", "top_logprobs");
  }
  return {
    ...samplingOf(request),
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? null,
    topLogprobs: request.logprobs === true ? (request.top_logprobs ?? 0) : null,
  };
}

async function promptOf({ model }: Work, { messages }: ChatRequest, { limits }: ServerState): Promise<Int32Array> {
  const [prompt] = await model.tokeniser.prompts([turnsOf(messages)]);
  if (prompt === undefined || "refused" in prompt) {
    throw new ApiError(
      400,
      `the chat template of ${model.name} does not take these messages: ${prompt?.refused ?? "no rendering"}`,
      "invalid_value",
      "messages",
    );
  }
  checkPrompt(model, { tokens: prompt.ids.length, param: "messages" }, 1, limits);
  return prompt.ids;
}

async function whole({ state, work, prompt, settings, count, head }: Answers): Promise<object> {
  const timed = firstTokenTimer(state, work);
  const answers = await Promise.all(
    Array.from({ length: count }, (_, index) => drawAnswer(work.model, prompt, settings, index, work.signal, timed)),
  );
  const { tokenizer } = work.model.tokeniser;
  return {
    ...head,
    object: "chat.completion",
    choices: answers.map(({ text, finish, tokens }, index) => ({
      index,
      message: { role: "assistant", content: text, refusal: null },
      logprobs: logprobsOf(tokens, settings, tokenizer),
      finish_reason: finish,
    })),
    usage: usageOf(state, prompt, answers),
  };
}

async function inPieces(answers: Answers, withUsage: boolean, send: (data: unknown) => void): Promise<void> {
  const { state, work, prompt, settings, count, head } = answers;
  const { tokenizer } = work.model.tokeniser;
  const chunk = (choices: readonly object[], more: object = withUsage ? { usage: null } : {}): void =>
    send({ ...head, object: "chat.completion.chunk", choices, ...more });
  const timed = firstTokenTimer(state, work);
  const drawn = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      chunk([{ index, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null }]);
      const answer = await drawAnswer(work.model, prompt, settings, index, work.signal, ({ text, tokens }) => {
        timed();
        const logprobs = logprobsOf(tokens, settings, tokenizer);
        chunk([{ index, delta: { content: text }, logprobs, finish_reason: null }]);
      });
      chunk([{ index, delta: {}, logprobs: null, finish_reason: answer.finish }]);
      return answer;
    }),
  );
  const usage = usageOf(state, prompt, drawn);
  if (withUsage) chunk([], { usage });
}

/** Tells the metrics of a request's first token. */
export function firstTokenTimer({ metrics }: ServerState, { since }: Work): () => void {
  let isFirst = true;
  return () => {
    if (isFirst) metrics.firstToken((performance.now() - since) / 1000);
    isFirst = false;
  };
}

function logprobsOf(
  tokens: readonly DrawnToken[],
  { topLogprobs }: AnswerSettings,
  tokenizer: TokenTable,
): object | null {
  if (topLogprobs === null) return null;
  const entry = (id: number, logprob: number): object => ({
    ...tokenWord(tokenizer, id),
    logprob: jsonLogprob(logprob),
  });
  return {
    content: tokens.map(({ id, logprobs }) => ({
      ...entry(id, logprobs?.logprob ?? Number.NaN),
      top_logprobs: (logprobs?.top ?? []).map((one) => entry(one.id, one.logprob)),
    })),
    refusal: null,
  };
}

function usageOf({ metrics }: ServerState, prompt: Int32Array, answers: readonly DrawnAnswer[]): object {
  const answered = answers.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const reused = answers[0]?.reused ?? 0;
  metrics.tokens("prompt", prompt.length);
  metrics.tokens("reused", reused);
  metrics.tokens("answer", answered);
  return {
    prompt_tokens: prompt.length,
    completion_tokens: answered,
    total_tokens: prompt.length + answered,
    prompt_tokens_details: { cached_tokens: reused },
  };
}
