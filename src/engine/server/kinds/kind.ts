/**
 * A kind of server that gives distributions of a given text: its route, how token ids are put into a request, and where
 * the rows stand in its reply. Everything else (connections, retries, batches, what is kept) is the same for all. To add
 * one: a file beside this one, and a line in the list.
 */
import type { Sequence } from "../../engine.ts";
import type { Candidates, RowViews } from "../candidates.ts";
import type { JsonCursor } from "../json-cursor.ts";

export interface RowsRequest {
  /** The server's name of the model. */
  readonly model: string;
  /** Each ends with its last label. */
  readonly sequences: readonly Sequence[];
  readonly topK: number;
  /** A token id that gets a bias of 0: a server knows whether it has that token, and nothing else changes. */
  readonly biased?: number;
}

/** Where rows go. */
export interface RowSink {
  /** The views of a sequence's rows, by its place in the request. */
  views(place: number): RowViews;
  readonly candidates: Candidates;
}

export interface ServerKind {
  /** As a recipe calls it. */
  readonly name: string;
  /** As people call it. */
  readonly title: string;
  readonly source: string;
  /** `owned_by` in its list of models. */
  readonly owner: string;
  /** Candidates a row that it gives unless it is started otherwise; null: as many as are asked for. */
  readonly maxLogprobs: number | null;
  /** What it is to be started with for `topK` candidates a row. */
  startedWith(topK: number): string;
  /** Behind the base address. */
  readonly route: string;
  /** JSON text. */
  body(request: RowsRequest): string;
  /** Reads a reply's rows into the sink. Throws a `JsonProblem` or a `RowProblem`, or calls `at` before the latter. */
  read(cursor: JsonCursor, request: RowsRequest, sink: RowSink, at: RowPlace): void;
  /** Asks for the ids of a text, without special tokens where it can be told so. */
  textBody(model: string, text: string): string;
  /** Ids of that reply; null for one that the server does not tell (the first one, of some). Throws where there are none. */
  readText(reply: unknown): (number | null)[];
}

/** Which row is being read, for messages: the place of the sequence in the request, and the position of the label. */
export interface RowPlace {
  sequence: number;
  position: number;
}
