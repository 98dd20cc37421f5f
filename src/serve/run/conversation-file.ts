/**
 * A run's conversations by their places in its data file. Where each line begins is found once, so that a conversation is
 * read by itself, whatever the size of the file: nothing of it stays in memory but eight bytes a line.
 */
import { type FileHandle, open } from "node:fs/promises";
import { type Conversation, conversationId } from "../../data/conversation.ts";
import { parseRecord } from "../../data/shapes/record.ts";
import { inputError } from "../../errors.ts";
import { readFully } from "../../formats/files.ts";

export interface ConversationFile {
  readonly path: string;
  readonly count: number;
  /** Throws where the line is no conversation. */
  read(index: number): Promise<Conversation>;
  close(): Promise<void>;
}

const CHUNK_BYTES = 1 << 20;
const LINE_FEED = 0x0a;

/** A JSON Lines file as `writeConversations` writes it. */
export async function openConversationFile(path: string): Promise<ConversationFile> {
  const handle = await open(path, "r");
  try {
    const starts = await lineStarts(handle);
    return {
      path,
      count: starts.length - 1,
      read: async (index) => {
        const begin = starts[index]!;
        const bytes = new Uint8Array(starts[index + 1]! - begin);
        await readFully(handle, bytes, begin);
        return conversationOf(new TextDecoder().decode(bytes), `${path}:${index + 1}`);
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Where each line begins, and where the last one ends. */
async function lineStarts(handle: FileHandle): Promise<number[]> {
  const starts = [0];
  const chunk = new Uint8Array(CHUNK_BYTES);
  let position = 0;
  for (;;) {
    const count = await readFully(handle, chunk, position);
    const read = chunk.subarray(0, count);
    for (let at = read.indexOf(LINE_FEED); at >= 0; at = read.indexOf(LINE_FEED, at + 1))
      starts.push(position + at + 1);
    position += count;
    if (count < chunk.length) break;
  }
  if (starts.at(-1)! < position) starts.push(position);
  return starts;
}

function conversationOf(line: string, where: string): Conversation {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch {
    throw inputError(where, "expected a line of JSON; was the file changed by hand?");
  }
  const parsed = parseRecord(record);
  if ("problem" in parsed) throw inputError(where, parsed.problem.sentence);
  return parsed.conversation;
}

/** Up to its `count` first turns. */
export function upTo({ turns, ...rest }: Conversation, count: number): Conversation {
  const kept = turns.slice(0, count);
  return { ...rest, turns: kept, id: conversationId(kept, rest.tools) };
}
