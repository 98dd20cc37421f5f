/**
 * Conversations from files and back: JSON Lines, a JSON array, or Parquet. Every bad line is found in one pass and told
 * as `file:line: what was expected, what was found`; nothing is accepted in part.
 */
import { createReadStream } from "node:fs";
import { extname } from "node:path";
import { type FusechatError, inputError, inputErrors } from "../errors.ts";
import { fileError, openAtomic, readJson } from "../formats/files.ts";
import { beyondContent, type Conversation } from "./conversation.ts";
import { readParquetRows } from "./parquet.ts";
import { parseRecord } from "./shapes.ts";

/** More bad lines than this are only counted: the first ones show what is wrong. */
const LISTED_PROBLEMS = 20;

/** A line longer than this is no conversation: the file has no line ends, or is of another kind. */
const LONGEST_LINE_BYTES = 1 << 28;

/** Bytes gathered before they are written. */
const WRITE_BYTES = 1 << 20;

/** A record of the file and its place in it, or what is wrong at that place. */
interface Found {
  readonly where: string;
  readonly record?: unknown;
  readonly problem?: string;
}

/** All conversations of a `.jsonl`, `.json` or `.parquet` file, in order. One error tells of all bad lines. */
export async function readConversations(path: string): Promise<Conversation[]> {
  const conversations: Conversation[] = [];
  const problems: string[] = [];
  for await (const { where, record, problem } of recordsOf(path)) {
    const parsed = problem === undefined ? parseRecord(record) : { problem };
    if ("conversation" in parsed) conversations.push(parsed.conversation);
    else problems.push(`${where}: ${parsed.problem}`);
  }
  if (problems.length > 0) throw told(problems);
  if (conversations.length === 0) throw inputError(path, "expected conversations, found none: the data set is empty");
  return conversations;
}

/** Writes conversations as JSON Lines, a turn as `{"role", "content"}`, with `skill` and `floor_nats` where known. */
export async function writeConversations(path: string, conversations: readonly Conversation[]): Promise<void> {
  const file = await openAtomic(path);
  try {
    let pending: string[] = [];
    let size = 0;
    for (const conversation of conversations) {
      const line = `${JSON.stringify(conversationRecord(conversation))}\n`;
      pending.push(line);
      size += line.length;
      if (size < WRITE_BYTES) continue;
      await file.write(Buffer.from(pending.join(""), "utf8"));
      pending = [];
      size = 0;
    }
    await file.write(Buffer.from(pending.join(""), "utf8"));
    await file.commit();
  } catch (error) {
    await file.abort();
    throw error;
  }
}

function conversationRecord({ turns, tools, skill, floorNats }: Conversation): Record<string, unknown> {
  return {
    turns: turns.map((turn) => ({ role: turn.role, content: turn.content, ...beyondContent(turn) })),
    ...(tools === undefined ? {} : { tools }),
    ...(skill === undefined ? {} : { skill }),
    ...(floorNats === undefined ? {} : { floor_nats: floorNats }),
  };
}

function told(problems: readonly string[]): FusechatError {
  const more = problems.length - LISTED_PROBLEMS;
  const rest = more > 0 ? [`and ${more} more ${more === 1 ? "line" : "lines"} of this kind`] : [];
  return inputErrors([...problems.slice(0, LISTED_PROBLEMS), ...rest]);
}

function recordsOf(path: string): AsyncIterable<Found> | Iterable<Found> {
  switch (extname(path).toLowerCase()) {
    case ".jsonl":
    case ".ndjson":
      return jsonLines(path);
    case ".json":
      return jsonArray(path);
    case ".parquet":
      return parquetRows(path);
    default:
      throw inputError(path, "expected a .jsonl, .json or .parquet file of conversations");
  }
}

async function* jsonLines(path: string): AsyncGenerator<Found> {
  let number = 0;
  for await (const bytes of lines(path)) {
    number += 1;
    const where = `${path}:${number}`;
    let text: string;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      yield { where, problem: "expected UTF-8 text, found other bytes" };
      continue;
    }
    if (text.trim() === "") continue;
    try {
      yield { where, record: JSON.parse(text) };
    } catch {
      const start = text.length > 40 ? `${text.slice(0, 40)}…` : text;
      yield { where, problem: `expected a JSON object, found ${JSON.stringify(start)}, which is not JSON` };
    }
  }
}

/** The lines of a file as bytes, without their ends, one chunk of the file in memory at a time. */
async function* lines(path: string): AsyncGenerator<Uint8Array> {
  let open: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Uint8Array>) {
      let start = 0;
      for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
        yield Buffer.concat([...open, chunk.subarray(start, end)]);
        open = [];
        length = 0;
        start = end + 1;
      }
      if (start === chunk.length) continue;
      open.push(chunk.subarray(start));
      length += chunk.length - start;
      if (length > LONGEST_LINE_BYTES) throw inputError(path, `a line is longer than ${LONGEST_LINE_BYTES} bytes`);
    }
  } catch (error) {
    throw fileError(path, error);
  }
  if (open.length > 0) yield Buffer.concat(open);
}

async function* jsonArray(path: string): AsyncGenerator<Found> {
  const value = await readJson(path);
  if (!Array.isArray(value))
    throw inputError(path, "expected a JSON array of conversations; for one a line, name the file .jsonl");
  for (const [index, record] of value.entries()) yield { where: `${path}: item ${index + 1}`, record };
}

async function* parquetRows(path: string): AsyncGenerator<Found> {
  let index = 0;
  for await (const record of readParquetRows(path)) {
    index += 1;
    yield { where: `${path}: row ${index}`, record };
  }
}
