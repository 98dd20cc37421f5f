/** The file of answers: conversations as JSON Lines, each with whose answer it is and what it scored. */
import { beyondContent } from "../data/conversation.ts";
import { openAtomic } from "../formats/files.ts";
import type { Prompt } from "./prompts.ts";
import type { Selected } from "./select.ts";

export interface RecordFile {
  write(prompt: Prompt, selected: Selected, selection: string): Promise<void>;
  commit(): Promise<void>;
  abort(): Promise<void>;
}

export async function openRecordFile(path: string): Promise<RecordFile> {
  const file = await openAtomic(path);
  return {
    write: async (prompt, selected, selection) => {
      await file.write(Buffer.from(`${JSON.stringify(recordOf(prompt, selected, selection))}\n`, "utf8"));
    },
    commit: async () => {
      await file.commit();
    },
    abort: () => file.abort(),
  };
}

function recordOf({ dialogue, skill, category }: Prompt, { candidate, score }: Selected, selection: string): unknown {
  const turns = dialogue.turns.map((turn) => ({ role: turn.role, content: turn.content, ...beyondContent(turn) }));
  const { text, source, sample } = candidate;
  return {
    turns: [...turns, { role: "assistant", content: text }],
    ...(skill === undefined ? {} : { skill }),
    ...(category === undefined ? {} : { category }),
    drawn: { prompt: dialogue.id, source, sample, ...(selection === "none" ? {} : { score, by: selection }) },
  };
}
