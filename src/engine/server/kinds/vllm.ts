/**
 * vLLM's OpenAI-compatible completions (docs.vllm.ai, "OpenAI-Compatible Server", extra parameter `prompt_logprobs`).
 * For every token of a prompt, the first one's being null, the K most probable ones by their ids, and the token itself
 * where it is none of them. They are of the unmodified softmax, and -9999.0 stands for minus infinity.
 */
import { z } from "zod";
import { CLOSE_ARRAY, CLOSE_OBJECT, OPEN_ARRAY, OPEN_OBJECT } from "../../../formats/json-bytes.ts";
import { RowProblem } from "../candidates.ts";
import { type JsonCursor, JsonProblem, keyBytes } from "../json-cursor.ts";
import type { RowPlace, RowSink, RowsRequest, ServerKind } from "./kind.ts";

const CHOICES = keyBytes("choices");
const INDEX = keyBytes("index");
const PROMPT_LOGPROBS = keyBytes("prompt_logprobs");
const LOGPROB = keyBytes("logprob");
const RANK = keyBytes("rank");

const MISSING = "has no prompt_logprobs: is it a server without the log-probabilities of prompts?";

export const vllm: ServerKind = {
  name: "vllm",
  title: "vLLM",
  source: "https://docs.vllm.ai",
  owner: "vllm",
  maxLogprobs: 20,
  startedWith: (topK) => `--max-logprobs ${topK}`,
  route: "v1/completions",
  body: ({ model, sequences, topK, biased }) =>
    `{"model":${JSON.stringify(model)},"prompt":[${sequences.map(({ ids }) => `[${ids.join(",")}]`).join(",")}],` +
    `"max_tokens":1,"temperature":0,"prompt_logprobs":${topK}${biased === undefined ? "" : `,"logit_bias":{"${biased}":0}`}}`,
  read,
  textBody: (model, text) =>
    JSON.stringify({
      model,
      prompt: text,
      add_special_tokens: false,
      max_tokens: 1,
      temperature: 0,
      prompt_logprobs: 1,
    }),
  readText: (reply) => {
    const parsed = textReply.safeParse(reply);
    if (!parsed.success) throw new JsonProblem(MISSING);
    return parsed.data.choices[0]!.prompt_logprobs.map((entries) => {
      if (entries === null) return null;
      const all = Object.entries(entries);
      // Beside the most probable token there is the label, unless they are one.
      const label = all.find(([, { rank }]) => rank !== 1) ?? all[0];
      return label === undefined ? null : Number(label[0]);
    });
  },
};

const textReply = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        prompt_logprobs: z.array(z.record(z.string(), z.looseObject({ rank: z.number().nullish() })).nullable()),
      }),
    )
    .min(1),
});

function read(cursor: JsonCursor, request: RowsRequest, sink: RowSink, at: RowPlace): void {
  const read = new Set<number>();
  cursor.expect(OPEN_OBJECT);
  for (let first = true; cursor.member(CLOSE_OBJECT, first); first = false) {
    cursor.key();
    if (!cursor.isKey(CHOICES)) {
      cursor.skip();
      continue;
    }
    cursor.expect(OPEN_ARRAY);
    for (let firstChoice = true; cursor.member(CLOSE_ARRAY, firstChoice); firstChoice = false) {
      readChoice(cursor, request, sink, at, read);
    }
  }
  cursor.end();
  const { length } = request.sequences;
  if (read.size !== length)
    throw new JsonProblem(`expected the log-probabilities of ${length} prompts, found ${read.size}`);
}

function readChoice(cursor: JsonCursor, request: RowsRequest, sink: RowSink, at: RowPlace, read: Set<number>): void {
  let index = -1;
  let later = -1;
  let isRead = false;
  const rows = (): void => {
    if (index >= request.sequences.length || read.has(index)) throw new JsonProblem(`has a choice ${index}`);
    readPrompt(cursor, request, index, sink, at);
    read.add(index);
    isRead = true;
  };
  cursor.expect(OPEN_OBJECT);
  for (let first = true; cursor.member(CLOSE_OBJECT, first); first = false) {
    cursor.key();
    if (cursor.isKey(INDEX)) index = cursor.number();
    else if (!cursor.isKey(PROMPT_LOGPROBS)) cursor.skip();
    else if (index >= 0) rows();
    else {
      cursor.peek();
      later = cursor.at;
      cursor.skip();
    }
  }
  if (isRead) return;
  if (later < 0 || index < 0) throw new JsonProblem(MISSING);
  const end = cursor.at;
  cursor.at = later;
  rows();
  cursor.at = end;
}

/** The list of one prompt: what stands at a label becomes a row. */
function readPrompt(
  cursor: JsonCursor,
  { sequences, topK }: RowsRequest,
  place: number,
  sink: RowSink,
  at: RowPlace,
): void {
  const { ids, positions } = sequences[place]!;
  if (cursor.isNull()) throw new JsonProblem(MISSING);
  const views = sink.views(place);
  const { candidates } = sink;
  at.sequence = place;
  let position = 0;
  let row = 0;
  cursor.expect(OPEN_ARRAY);
  for (let first = true; cursor.member(CLOSE_ARRAY, first); first = false, position++) {
    if (position !== positions[row]) {
      cursor.skip();
      continue;
    }
    at.position = position;
    if (cursor.isNull()) throw new RowProblem("is null");
    candidates.clear();
    const labelLogp = readCandidates(cursor, topK, ids[position]!, candidates.add);
    candidates.settle(row, ids[position]!, labelLogp, views);
    row++;
  }
  if (position !== ids.length) {
    throw new JsonProblem(`expected log-probabilities of ${ids.length} tokens, found ${position}`);
  }
}

/**
 * `{"<id>": {"logprob": -0.5, "rank": 1, …}, …}`. What ranks behind the K asked for is the label beside them: its
 * log-probability is given back, NaN where there is none.
 */
function readCandidates(
  cursor: JsonCursor,
  topK: number,
  label: number,
  add: (id: number, logp: number) => void,
): number {
  let labelLogp = Number.NaN;
  cursor.expect(OPEN_OBJECT);
  for (let first = true; cursor.member(CLOSE_OBJECT, first); first = false) {
    cursor.key();
    const id = cursor.keyNumber();
    let logp = Number.NaN;
    let rank = 1;
    cursor.expect(OPEN_OBJECT);
    for (let firstField = true; cursor.member(CLOSE_OBJECT, firstField); firstField = false) {
      cursor.key();
      if (cursor.isKey(LOGPROB) && !cursor.isNull()) logp = cursor.number();
      else if (cursor.isKey(RANK) && !cursor.isNull()) rank = cursor.number();
      else cursor.skip();
    }
    if (rank <= topK) add(id, logp);
    else if (id !== label) throw new RowProblem(`has the token ${id} of rank ${rank}, which is not its label`);
    else if (Number.isNaN(logp)) throw new RowProblem("has no number as the log-probability of its label");
    else labelLogp = logp;
  }
  return labelLogp;
}
