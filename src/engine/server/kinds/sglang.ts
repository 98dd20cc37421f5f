/**
 * SGLang's own route (docs.sglang.ai, "Sampling parameters" and "Native APIs"). It tells the label's log-probability apart
 * from the K most probable tokens, both from a given place on. Each entry is `[logprob, id, text or null]`; what stands
 * at that place itself has no prediction and is null.
 */
import { z } from "zod";
import { CLOSE_ARRAY, CLOSE_OBJECT, OPEN_ARRAY, OPEN_OBJECT } from "../../../formats/json-bytes.ts";
import { RowProblem } from "../candidates.ts";
import { type JsonCursor, JsonProblem, keyBytes } from "../json-cursor.ts";
import type { RowPlace, RowSink, RowsRequest, ServerKind } from "./kind.ts";

const META = keyBytes("meta_info");
const LABELS = keyBytes("input_token_logprobs");
const TOP = keyBytes("input_top_logprobs");

const MISSING =
  "has no input_token_logprobs or input_top_logprobs: is it a server without the log-probabilities of prompts?";

export const sglang: ServerKind = {
  name: "sglang",
  title: "SGLang",
  source: "https://docs.sglang.ai",
  owner: "sglang",
  maxLogprobs: null,
  startedWith: () => "its defaults",
  route: "generate",
  body: ({ sequences, topK, biased }) => {
    const starts = sequences.map(startOf);
    const bias = biased === undefined ? "" : `,"logit_bias":{"${biased}":0}`;
    return (
      `{"input_ids":[${sequences.map(({ ids }) => `[${ids.join(",")}]`).join(",")}],` +
      `"sampling_params":{"max_new_tokens":1,"temperature":0${bias}},"return_logprob":true,` +
      `"logprob_start_len":[${starts.join(",")}],"top_logprobs_num":${topK},"return_text_in_logprobs":false}`
    );
  },
  read,
  textBody: (_model, text) =>
    JSON.stringify({
      text,
      sampling_params: { max_new_tokens: 1, temperature: 0 },
      return_logprob: true,
      logprob_start_len: 0,
      top_logprobs_num: 1,
    }),
  readText: (reply) => {
    const parsed = textReply.safeParse(reply);
    if (!parsed.success) throw new JsonProblem(MISSING);
    return parsed.data.meta_info.input_token_logprobs.map((entry) => entry[1]);
  },
};

const textReply = z.looseObject({
  meta_info: z.looseObject({
    input_token_logprobs: z.array(z.tuple([z.number().nullable(), z.number()], z.unknown())),
  }),
});

/** The first place that is told of: the one before the first label's prediction is looked for. */
function startOf({ positions }: RowsRequest["sequences"][number]): number {
  return positions[0]! - 1;
}

function read(cursor: JsonCursor, request: RowsRequest, sink: RowSink, at: RowPlace): void {
  const { length } = request.sequences;
  let place = 0;
  cursor.expect(OPEN_ARRAY);
  for (let first = true; cursor.member(CLOSE_ARRAY, first); first = false, place++) {
    if (place >= length) throw new JsonProblem(`expected ${length} answers, found more`);
    at.sequence = place;
    readAnswer(cursor, request, place, sink, at);
  }
  cursor.end();
  if (place !== length) throw new JsonProblem(`expected ${length} answers, found ${place}`);
}

function readAnswer(cursor: JsonCursor, request: RowsRequest, place: number, sink: RowSink, at: RowPlace): void {
  let isRead = false;
  cursor.expect(OPEN_OBJECT);
  for (let first = true; cursor.member(CLOSE_OBJECT, first); first = false) {
    cursor.key();
    if (cursor.isKey(META) && !isRead) {
      readMeta(cursor, request, place, sink, at);
      isRead = true;
    } else cursor.skip();
  }
  if (!isRead) throw new JsonProblem(MISSING);
}

function readMeta(cursor: JsonCursor, request: RowsRequest, place: number, sink: RowSink, at: RowPlace): void {
  const { positions } = request.sequences[place]!;
  const labels = new Float64Array(positions.length);
  let hasLabels = false;
  let hasTop = false;
  let later = -1;
  cursor.expect(OPEN_OBJECT);
  for (let first = true; cursor.member(CLOSE_OBJECT, first); first = false) {
    cursor.key();
    if (cursor.isKey(LABELS)) {
      readLabels(cursor, request, place, labels, at);
      hasLabels = true;
    } else if (!cursor.isKey(TOP)) cursor.skip();
    else if (hasLabels) {
      readTop(cursor, request, place, labels, sink, at);
      hasTop = true;
    } else {
      cursor.peek();
      later = cursor.at;
      cursor.skip();
    }
  }
  if (!hasLabels || (!hasTop && later < 0)) throw new JsonProblem(MISSING);
  if (hasTop) return;
  const end = cursor.at;
  cursor.at = later;
  readTop(cursor, request, place, labels, sink, at);
  cursor.at = end;
}

/** The log-probabilities of the labels, whose ids must be those that were sent. */
function readLabels(cursor: JsonCursor, request: RowsRequest, place: number, labels: Float64Array, at: RowPlace): void {
  const { ids, positions } = request.sequences[place]!;
  eachPosition(cursor, request, place, (position, row) => {
    if (position !== positions[row]) return cursor.skip();
    at.position = position;
    const [logp, id] = entry(cursor);
    if (id !== ids[position]) throw new RowProblem(`is of the token ${id}, ${ids[position]} was sent`);
    if (Number.isNaN(logp)) throw new RowProblem("has no number as the log-probability of its label");
    labels[row] = logp;
    return undefined;
  });
}

function readTop(
  cursor: JsonCursor,
  request: RowsRequest,
  place: number,
  labels: Float64Array,
  sink: RowSink,
  at: RowPlace,
): void {
  const { ids, positions } = request.sequences[place]!;
  const { candidates } = sink;
  const views = sink.views(place);
  eachPosition(cursor, request, place, (position, row) => {
    if (position !== positions[row]) return cursor.skip();
    at.position = position;
    if (cursor.isNull()) throw new RowProblem("is null");
    candidates.clear();
    cursor.expect(OPEN_ARRAY);
    for (let first = true; cursor.member(CLOSE_ARRAY, first); first = false) {
      const [logp, id] = entry(cursor);
      candidates.add(id, logp);
    }
    candidates.settle(row, ids[position]!, labels[row]!, views);
    return undefined;
  });
}

/** Goes through a list that begins at the request's start; `row` is the next label's. */
function eachPosition(
  cursor: JsonCursor,
  { sequences }: RowsRequest,
  place: number,
  read: (position: number, row: number) => void,
): void {
  const { ids, positions } = sequences[place]!;
  const start = startOf(sequences[place]!);
  let position = start;
  let row = 0;
  if (cursor.isNull()) throw new JsonProblem(MISSING);
  cursor.expect(OPEN_ARRAY);
  for (let first = true; cursor.member(CLOSE_ARRAY, first); first = false, position++) {
    const isLabel = position === positions[row];
    read(position, row);
    if (isLabel) row++;
  }
  if (position !== ids.length) {
    throw new JsonProblem(`expected log-probabilities of ${ids.length - start} tokens, found ${position - start}`);
  }
}

/** `[logprob, id, …]`; NaN for a logprob that is null. */
function entry(cursor: JsonCursor): readonly [number, number] {
  cursor.expect(OPEN_ARRAY);
  let logp = Number.NaN;
  if (cursor.isNull()) cursor.null();
  else logp = cursor.number();
  if (!cursor.member(CLOSE_ARRAY, false)) throw cursor.problem("a token's id");
  const id = cursor.number();
  while (cursor.member(CLOSE_ARRAY, false)) cursor.skip();
  return [logp, id];
}
