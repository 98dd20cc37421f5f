/**
 * `/v1/completions` (OpenAI API reference, "Completions", and vLLM's OpenAI-compatible server): what follows texts or ids,
 * with log-probabilities of the answers, of echoed prompts, and of prompts in vLLM's form.
 */
import { randomUUID } from "node:crypto";
import type { RankedRows } from "../engine/engine.ts";
import { internalError } from "../errors.ts";
import type { TokenTable } from "../tokenizer/tokenizer.ts";
import { type AnswerSettings, type DrawnAnswer, type DrawnToken, drawAnswer } from "./answers.ts";
import { ApiError } from "./api-error.ts";
import { firstTokenTimer } from "./chat.ts";
import { eventStream } from "./event-stream.ts";
import type { ServeLimits } from "./limits.ts";
import { type CompletionRequest, type PromptInput, promptsOf, samplingOf } from "./requests.ts";
import { beginWork, checkPrompt, type ServerState, type Work } from "./server-state.ts";
import { jsonLogprob, tokenWord } from "./token-words.ts";

/** OpenAI's own. */
const DEFAULT_MAX_TOKENS = 16;

export async function complete(state: ServerState, request: CompletionRequest, client: AbortSignal): Promise<Response> {
  checkCombination(request, state.limits);
  const work = await beginWork(state, request.model, client);
  let isStreamed = false;
  try {
    const prompts: Prompt[] = [];
    for (const input of promptsOf(request)) prompts.push(await readPrompt(work, input, request, state));
    const head = {
      id: `cmpl-${randomUUID()}`,
      object: "text_completion",
      created: Math.floor(Date.now() / 1000),
      model: request.model,
    };
    const completions: Completions = { state, work, request, prompts, head };
    if (request.stream !== true) return Response.json(await whole(completions));
    isStreamed = true;
    return eventStream(
      async (send) => {
        try {
          await inPieces(completions, send);
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

interface Prompt {
  readonly ids: Int32Array;
  readonly text: string;
}

interface Completions {
  readonly state: ServerState;
  readonly work: Work;
  readonly request: CompletionRequest;
  readonly prompts: readonly Prompt[];
  readonly head: object;
}

function checkCombination(request: CompletionRequest, { choices }: ServeLimits): void {
  const { stream, prompt_logprobs: promptLogprobs, echo, n } = request;
  if (promptsOf(request).length * (n ?? 1) > choices) {
    throw new ApiError(400, `n: a request may have ${choices} answers, over all of its prompts`, "invalid_value", "n");
  }
  if (stream !== true) return;
  const param = typeof promptLogprobs === "number" ? "prompt_logprobs" : echo === true ? "echo" : null;
  if (param === null) return;
  throw new ApiError(400, `${param}: is not given in a stream; leave one of them out`, "invalid_value", param);
}

async function readPrompt(
  { model }: Work,
  input: PromptInput,
  request: CompletionRequest,
  { limits }: ServerState,
): Promise<Prompt> {
  const { tokenizer } = model.tokeniser;
  for (const id of Object.keys(request.logit_bias ?? {})) checkId(Number(id), "logit_bias", model.engine.vocabulary);
  const ids = typeof input === "string" ? (await tokenizer.encode(input)).ids : Int32Array.from(input);
  for (const id of ids) checkId(id, "prompt", model.engine.vocabulary);
  checkPrompt(model, { tokens: ids.length, param: "prompt" }, Math.min(1, request.max_tokens ?? 1), limits);
  return { ids, text: typeof input === "string" ? input : tokenizer.decode(ids) };
}

function checkId(id: number, param: string, vocabulary: number): void {
  if (Number.isInteger(id) && id >= 0 && id < vocabulary) return;
  throw new ApiError(
    400,
    `${param}: contains the token id ${id}, but those of the vocabulary end at ${vocabulary - 1}`,
    "invalid_value",
    param,
  );
}

function settingsOf(
  { work: { model }, state: { limits } }: Completions,
  request: CompletionRequest,
  { ids }: Prompt,
): AnswerSettings {
  const wanted = Math.min(request.max_tokens ?? DEFAULT_MAX_TOKENS, limits.answerTokens);
  return {
    ...samplingOf(request),
    maxTokens: Math.min(wanted, model.context - ids.length),
    topLogprobs: request.logprobs ?? null,
  };
}

/** All `n` answers to all prompts, the prompts in their order. */
function drawAll(
  completions: Completions,
  onPiece: (index: number, text: string, tokens: readonly DrawnToken[]) => void,
): Promise<DrawnAnswer[]> {
  const { work, request, prompts } = completions;
  const count = request.n ?? 1;
  return Promise.all(
    prompts.flatMap((prompt, place) => {
      const settings = settingsOf(completions, request, prompt);
      return Array.from({ length: count }, (_, choice) =>
        drawAnswer(work.model, prompt.ids, settings, choice, work.signal, ({ text, tokens }) =>
          onPiece(place * count + choice, text, tokens),
        ),
      );
    }),
  );
}

async function whole(completions: Completions): Promise<object> {
  const { state, work, request, prompts, head } = completions;
  const count = request.n ?? 1;
  const timed = firstTokenTimer(state, work);
  const drawing = drawAll(completions, timed);
  const rows = await promptRows(completions).catch(async (error: unknown) => {
    await drawing.catch(() => {});
    throw error;
  });
  const answers = await drawing;
  const { tokenizer } = work.model.tokeniser;
  const echo = request.echo === true;
  return {
    ...head,
    choices: answers.map((answer, index) => {
      const place = Math.floor(index / count);
      const prompt = prompts[place]!;
      const echoed = echo ? promptTokens(prompt.ids, rows[place] ?? null, request.logprobs ?? 0) : [];
      const tokens = [...echoed, ...answer.tokens, ...(answer.end === null ? [] : [answer.end])];
      return {
        index,
        text: (echo ? prompt.text : "") + answer.text,
        logprobs: typeof request.logprobs === "number" ? legacyLogprobs(tokens, request.logprobs, tokenizer) : null,
        finish_reason: answer.finish,
        ...(typeof request.prompt_logprobs === "number"
          ? { prompt_logprobs: vllmLogprobs(prompt.ids, rows[place]!, request.prompt_logprobs, tokenizer) }
          : {}),
      };
    }),
    usage: usageOf(completions, answers),
  };
}

async function inPieces(completions: Completions, send: (data: unknown) => void): Promise<void> {
  const { state, work, request, head } = completions;
  const { tokenizer } = work.model.tokeniser;
  const withUsage = request.stream_options?.include_usage === true;
  const offsets = new Map<number, number>();
  const chunk = (choices: readonly object[], more: object = withUsage ? { usage: null } : {}): void =>
    send({ ...head, choices, ...more });
  const timed = firstTokenTimer(state, work);
  const answers = await drawAll(completions, (index, text, tokens) => {
    timed();
    const from = offsets.get(index) ?? 0;
    const logprobs =
      typeof request.logprobs === "number" ? legacyLogprobs(tokens, request.logprobs, tokenizer, from) : null;
    offsets.set(index, from + text.length);
    chunk([{ index, text, logprobs, finish_reason: null }]);
  });
  answers.forEach(({ finish }, index) => {
    chunk([{ index, text: "", logprobs: null, finish_reason: finish }]);
  });
  const usage = usageOf(completions, answers);
  if (withUsage) chunk([], { usage });
}

/** Distributions of all tokens of all prompts but the first one, where they are wanted. */
async function promptRows({ work: { model }, request, prompts }: Completions): Promise<readonly (RankedRows | null)[]> {
  const { engine } = model;
  const echoed = request.echo === true && typeof request.logprobs === "number" ? request.logprobs : null;
  const wanted = Math.max(echoed ?? -1, request.prompt_logprobs ?? -1);
  if (wanted < 0) return prompts.map(() => null);
  if (engine.rankedRows === undefined) throw internalError("a model is served whose engine does not rank labels");
  const rows: RankedRows[] = [];
  for (const { ids } of prompts) {
    const positions = Int32Array.from({ length: ids.length - 1 }, (_, index) => index + 1);
    rows.push(await engine.rankedRows([{ ids, positions }], Math.max(1, wanted)));
  }
  return rows;
}

/** A prompt's tokens as if they had been drawn; nothing is known of the first one. */
function promptTokens(ids: Int32Array, rows: RankedRows | null, count: number): DrawnToken[] {
  return Array.from(ids, (id, position) => {
    if (rows === null || position === 0) return { id, logprobs: null };
    const row = position - 1;
    return { id, logprobs: { logprob: rows.labelLogp[row]!, top: topOf(rows, row, count) } };
  });
}

function topOf(
  { topId, topLogp, labelLogp }: RankedRows,
  row: number,
  count: number,
): { id: number; logprob: number }[] {
  const width = topId.length / labelLogp.length;
  return Array.from({ length: Math.min(count, width) }, (_, k) => ({
    id: topId[row * width + k]!,
    logprob: topLogp[row * width + k]!,
  }));
}

/** OpenAI's form of completions: lists over the tokens, the text that each begins at counted in UTF-16 units. */
function legacyLogprobs(tokens: readonly DrawnToken[], count: number, tokenizer: TokenTable, from = 0): object {
  const word = (id: number): string => tokenWord(tokenizer, id).token;
  const offsets: number[] = [];
  let offset = from;
  for (const { id } of tokens) {
    offsets.push(offset);
    offset += tokenizer.tokenBytes(id) === null ? 0 : tokenizer.decode([id]).length;
  }
  return {
    tokens: tokens.map(({ id }) => word(id)),
    token_logprobs: tokens.map(({ logprobs }) => (logprobs === null ? null : jsonLogprob(logprobs.logprob))),
    top_logprobs: tokens.map(({ id, logprobs }) => {
      if (logprobs === null) return null;
      const top = Object.fromEntries(
        logprobs.top.slice(0, count).map((one) => [word(one.id), jsonLogprob(one.logprob)]),
      );
      // As vLLM does: the token itself is always among them.
      return { [word(id)]: jsonLogprob(logprobs.logprob), ...top };
    }),
    text_offset: offsets,
  };
}

/** vLLM's form: null for the first token, then the most probable ones by id, and the token itself beside them. */
function vllmLogprobs(ids: Int32Array, rows: RankedRows, count: number, tokenizer: TokenTable): (object | null)[] {
  const entry = (id: number, logprob: number, rank: number): readonly [string, object] => [
    String(id),
    { logprob: jsonLogprob(logprob), rank, decoded_token: tokenizer.decode([id]) },
  ];
  return Array.from(ids, (id, position) => {
    if (position === 0) return null;
    const row = position - 1;
    const top = topOf(rows, row, count).map((one, k) => entry(one.id, one.logprob, k + 1));
    if (top.some(([key]) => key === String(id))) return Object.fromEntries(top);
    // Of equal logits the lower ids are the first; a label that ties with the last of them ranks behind it.
    const rank = Math.max(rows.labelRank[row]!, count + 1);
    return Object.fromEntries([entry(id, rows.labelLogp[row]!, rank), ...top]);
  });
}

function usageOf({ state: { metrics }, prompts }: Completions, answers: readonly DrawnAnswer[]): object {
  const asked = prompts.reduce((sum, { ids }) => sum + ids.length, 0);
  const answered = answers.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const reused = answers.reduce((sum, answer) => sum + answer.reused, 0);
  metrics.tokens("prompt", asked);
  metrics.tokens("reused", reused);
  metrics.tokens("answer", answered);
  return {
    prompt_tokens: asked,
    completion_tokens: answered,
    total_tokens: asked + answered,
    prompt_tokens_details: { cached_tokens: reused },
  };
}
