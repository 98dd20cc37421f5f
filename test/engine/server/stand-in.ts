/**
 * A server on the loopback interface that gives the rows of a golden model as vLLM or SGLang write them: the numbers are
 * the embedded engine's. `fault` makes it misbehave: it sees what is asked and the proper reply, and may give another.
 */
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { text as textOf } from "node:stream/consumers";
import type { EngineModel, RowBatch } from "#src/engine/engine.js";
import type { Tokenizer } from "#src/tokenizer/tokenizer.js";

export type Kind = "vllm" | "sglang";

export interface Asked {
  /** 0, 1, … of the requests for rows. */
  readonly index: number;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Of a request for rows; null of a text's ids, or of a question about the server. */
  readonly prompts: readonly (readonly number[])[] | null;
  readonly topK: number;
}

export type Answer =
  | { readonly json: unknown }
  | { readonly status: number; readonly body: unknown; readonly headers?: Readonly<Record<string, string>> }
  | { readonly hang: true }
  | { readonly cut: true };

export interface StandIn {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly asked: Asked[];
  readonly mostInFlight: number;
  close(): Promise<void>;
}

/** A model of our own: a row follows from the two tokens before its label. `shift` makes another model. */
export function madeUpRows(vocabulary: number, shift = 0): PromptRows {
  return async (ids, topK) => {
    const rows = ids.slice(1).map((label, index) => {
      const seed = (31 * ids[index]! + 7 * (ids[index - 1] ?? 0) + shift) % vocabulary;
      const top = Array.from({ length: topK }, (_, k) => ({
        id: (seed + k) % vocabulary,
        logp: -1 - k - (seed % 5) / 10 - shift,
      }));
      const own = top.find(({ id }) => id === label);
      return { labelLogp: own?.logp ?? -9 - shift - (seed % 3), top };
    });
    return {
      labelLogp: Float32Array.from(rows, ({ labelLogp }) => labelLogp),
      topId: Int32Array.from(rows.flatMap(({ top }) => top.map(({ id }) => id))),
      topLogp: Float32Array.from(rows.flatMap(({ top }) => top.map(({ logp }) => logp))),
    };
  };
}

export interface StandInOptions {
  readonly kind: Kind;
  readonly rows: PromptRows;
  readonly tokenizer: Tokenizer;
  /** Width that it checks ids against. */
  readonly vocabulary: number;
  readonly name?: string;
  readonly context?: number;
  /** Special token that it puts before texts. */
  readonly bos?: number;
  readonly fault?: (asked: Asked, reply: unknown) => Answer | undefined;
}

/** As Python writes the double of a float32, -9999 for what JSON has not. */
function python(logp: number): number {
  return logp === -Infinity ? -9999 : logp;
}

/** What either kind is asked; which of it depends on the kind. */
interface Body {
  readonly model?: string;
  readonly prompt?: string | number[][];
  readonly add_special_tokens?: boolean;
  readonly prompt_logprobs?: number;
  readonly logit_bias?: Readonly<Record<string, number>>;
  readonly text?: string;
  readonly input_ids?: number[][];
  readonly sampling_params?: { readonly logit_bias?: Readonly<Record<string, number>> };
  readonly logprob_start_len?: number | number[];
  readonly top_logprobs_num?: number;
}

/** Rows of a prompt's every token but the first. */
export type PromptRows = (ids: readonly number[], topK: number) => Promise<RowBatch>;

/** One prompt at a time, and none twice. */
export function promptRows(model: EngineModel): PromptRows {
  const known = new Map<string, Promise<RowBatch>>();
  let turn: Promise<unknown> = Promise.resolve();
  return (ids, topK) => {
    const key = `${topK} ${ids.join()}`;
    const positions = Int32Array.from({ length: ids.length - 1 }, (_, index) => index + 1);
    const rows = known.get(key) ?? turn.then(() => model.rows([{ ids: Int32Array.from(ids), positions }], topK));
    known.set(key, rows);
    turn = rows.catch(() => {});
    return rows;
  };
}

export async function startStandIn(options: StandInOptions): Promise<StandIn> {
  const { kind, rows, vocabulary, tokenizer, fault, bos } = options;
  const name = options.name ?? "stand-in";
  const asked: Asked[] = [];
  let [inFlight, mostInFlight] = [0, 0];
  const vllmPrompt = async (ids: readonly number[], topK: number) => {
    const { labelLogp, topId, topLogp } = await rows(ids, topK);
    return ids.map((id, position) => {
      if (position === 0) return null;
      const row = position - 1;
      const entry = (of: number, logp: number, rank: number) => [
        String(of),
        { logprob: python(logp), rank, decoded_token: tokenizer.tokenText(of) ?? "" },
      ];
      const top = Array.from({ length: topK }, (_, k) =>
        entry(topId[row * topK + k]!, topLogp[row * topK + k]!, k + 1),
      );
      const isTop = top.some(([of]) => of === String(id));
      return Object.fromEntries(isTop ? top : [entry(id, labelLogp[row]!, topK + 7), ...top]);
    });
  };
  const sglangPrompt = async (ids: readonly number[], start: number, topK: number) => {
    const { labelLogp, topId, topLogp } = await rows(ids, Math.max(1, topK));
    const later = ids.map((_, position) => position).filter((position) => position > start);
    return {
      text: "x",
      output_ids: [1],
      meta_info: {
        id: "a",
        finish_reason: { type: "length", length: 1 },
        prompt_tokens: ids.length,
        input_token_logprobs: [
          [null, ids[start]!, null],
          ...later.map((position) => [labelLogp[position - 1]!, ids[position]!, null]),
        ],
        output_token_logprobs: [[-1, 1, null]],
        ...(topK > 0 && {
          input_top_logprobs: [
            null,
            ...later.map((position) =>
              Array.from({ length: topK }, (_, k) => {
                const at = (position - 1) * topK + k;
                return [topLogp[at]!, topId[at]!, null];
              }),
            ),
          ],
          output_top_logprobs: [[[-1, 1, null]]],
        }),
      },
    };
  };

  const refusal = (status: number, message: string): Answer => ({
    status,
    body:
      kind === "vllm"
        ? { error: { message, type: "BadRequestError", param: null, code: status } }
        : { error: { message } },
  });
  const idsOf = async (text: string, special: boolean): Promise<number[]> => {
    const { ids } = await tokenizer.encode(text);
    return special && bos !== undefined ? [bos, ...ids] : [...ids];
  };

  const answer = async (
    path: string,
    body: Body | null,
  ): Promise<{ reply: Answer; prompts: number[][] | null; topK: number }> => {
    const plain = { prompts: null, topK: 0 };
    if (path === "/v1/models") {
      const card = { id: name, object: "model", owned_by: kind, root: name, max_model_len: options.context ?? 4096 };
      return { ...plain, reply: { json: { object: "list", data: [card] } } };
    }
    const isRows = path === (kind === "vllm" ? "/v1/completions" : "/generate") && body !== null;
    if (!isRows) return { ...plain, reply: { status: 404, body: { detail: "Not Found" } } };
    const bias = Object.keys((kind === "vllm" ? body.logit_bias : body.sampling_params?.logit_bias) ?? {}).map(Number);
    if (bias.some((id) => id >= vocabulary)) {
      return {
        ...plain,
        reply: refusal(400, `logit_bias contains out-of-vocab token ids. Vocabulary size: ${vocabulary}`),
      };
    }
    if (kind === "vllm") {
      const { prompt = [], prompt_logprobs: topK = 0 } = body;
      if (body.model !== name) return { ...plain, reply: refusal(404, `The model \`${body.model}\` does not exist.`) };
      const isText = typeof prompt === "string";
      const prompts = isText ? [await idsOf(prompt, body.add_special_tokens !== false)] : prompt;
      const choices = await Promise.all(
        prompts.map(async (ids, index) => ({
          index,
          text: "x",
          logprobs: null,
          finish_reason: "length",
          prompt_logprobs: await vllmPrompt(ids, topK),
        })),
      );
      const json = { id: "c", object: "text_completion", model: name, choices, usage: { prompt_tokens: 1 } };
      return { reply: { json }, prompts: isText ? null : prompts, topK };
    }
    const { text, input_ids: prompts = [], top_logprobs_num: topK = 0, logprob_start_len: start = -1 } = body;
    if (text !== undefined) {
      return { ...plain, reply: { json: await sglangPrompt(await idsOf(text, true), 0, topK) } };
    }
    const starts = typeof start === "number" ? prompts.map(() => start) : start;
    const json = await Promise.all(prompts.map((ids, n) => sglangPrompt(ids, starts[n]!, topK)));
    return { reply: { json }, prompts, topK };
  };

  let requests = 0;
  const server = createServer((incoming, outgoing) => {
    mostInFlight = Math.max(mostInFlight, ++inFlight);
    outgoing.once("close", () => inFlight--);
    const serve = async (): Promise<void> => {
      const path = incoming.url ?? "";
      const said = await textOf(incoming);
      const { reply, prompts, topK } = await answer(path, said === "" ? null : (JSON.parse(said) as Body));
      const question: Asked = {
        index: prompts === null ? -1 : requests++,
        path,
        headers: incoming.headers,
        prompts,
        topK,
      };
      asked.push(question);
      const given = fault?.(question, "json" in reply ? reply.json : null) ?? reply;
      if ("hang" in given) return;
      const text = JSON.stringify(
        "json" in given ? given.json : "body" in given ? given.body : "json" in reply ? reply.json : "",
      );
      outgoing.writeHead("status" in given ? given.status : 200, {
        "content-type": "application/json",
        ...("headers" in given ? given.headers : {}),
        ...("cut" in given ? { "content-length": String(Buffer.byteLength(text)) } : {}),
      });
      if (!("cut" in given)) outgoing.end(text);
      else outgoing.write(text.slice(0, text.length / 2), () => outgoing.destroy());
    };
    serve().catch((error: unknown) => outgoing.writeHead(500).end(String(error)));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    get mostInFlight() {
      return mostInFlight;
    },
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
