/**
 * The golden rows as they are expected. The files were made by an independent implementation before rows told the ends
 * of turns; what is added here follows from the conversations alone.
 */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Conversation } from "#src/data/conversation.js";
import { readConversations } from "#src/data/read.js";
import { stripPython } from "#src/jinja/compile.js";

const PIPELINE = resolve(import.meta.dirname, "../golden/pipeline");

export const GOLDEN_CONVERSATIONS: string = join(PIPELINE, "conversations.jsonl");

/** Models whose templates trim the content of a response. */
export const TRIMMING: readonly string[] = ["llama", "llama3", "gemma2"];

interface GoldenLine {
  readonly conversation: number;
  readonly refused?: string;
  readonly turn: readonly number[];
  readonly byte_start: readonly number[];
  readonly bytes: number;
}

/** White space at the ends of a conversation's responses, bytes. */
export const outerSpace = ({ turns }: Conversation): number =>
  turns
    .filter(({ role }) => role === "assistant")
    .reduce((sum, { content }) => sum + Buffer.byteLength(content) - Buffer.byteLength(stripPython(content)), 0);

/**
 * `folder` is `rows`, or `rows-120` for at most 120 tokens. To the letter as in the files, but for `bytes`: they count
 * also the white space that a template trims. Nothing predicts that, so the right divisor is less by it.
 */
export async function goldenRows(folder: "rows" | "rows-120", model: string): Promise<unknown[]> {
  const { conversations } = await readConversations(GOLDEN_CONVERSATIONS);
  const lines = (await readFile(join(PIPELINE, folder, `${model}.jsonl`), "utf8")).trim().split("\n");
  return lines.map((text) => {
    const line: GoldenLine = JSON.parse(text);
    if (line.refused !== undefined) return line;
    const conversation = conversations[line.conversation]!;
    const trimmed = TRIMMING.includes(model) ? outerSpace(conversation) : 0;
    const ends = endsOfTurn(line, conversation);
    return { ...line, bytes: line.bytes - trimmed, end_of_turn: ends, left_out_row: [], left_out: [] };
  });
}

/** The last row of an answer ends its turn where it begins after the answer's last byte. */
function endsOfTurn({ turn, byte_start: byteStart }: GoldenLine, { turns }: Conversation): number[] {
  return [...new Set(turn)].flatMap((answer) => {
    const row = turn.lastIndexOf(answer);
    return byteStart[row] === Buffer.byteLength(turns[answer]!.content) ? [row] : [];
  });
}
