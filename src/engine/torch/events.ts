/** What a running job tells: `events.jsonl`, a line an event, read as it grows. */
import { type FileHandle, open } from "node:fs/promises";
import { exists } from "../../formats/files.ts";

/** The fields of an event are named in docs/formats.md; none of them decides about a result. */
export type JobEvent = { readonly event: string } & Readonly<Record<string, unknown>>;

export interface Events {
  /** Those that are new since the last call. */
  next(): Promise<readonly JobEvent[]>;
}

/** Begins behind what is there already: earlier attempts have told it. */
export async function openEvents(path: string): Promise<Events> {
  let end = (await exists(path)) ? await sizeOf(path) : 0;
  let rest = "";
  return {
    next: async () => {
      if (!(await exists(path))) return [];
      const handle = await open(path, "r");
      try {
        const { size } = await handle.stat();
        if (size <= end) return [];
        const bytes = Buffer.alloc(size - end);
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, end);
        end += bytesRead;
        const lines = (rest + bytes.toString("utf8", 0, bytesRead)).split("\n");
        rest = lines.pop() ?? "";
        return lines.flatMap(parseEvent);
      } finally {
        await handle.close();
      }
    },
  };
}

async function sizeOf(path: string): Promise<number> {
  const handle: FileHandle = await open(path, "r");
  try {
    return (await handle.stat()).size;
  } finally {
    await handle.close();
  }
}

/** A line torn by a kill is no event. */
function parseEvent(line: string): JobEvent[] {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && "event" in value ? [value as JobEvent] : [];
  } catch {
    return [];
  }
}
