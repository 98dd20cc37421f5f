/**
 * Which files of a run need not be hashed again: size and time of change of each when its bytes were last hashed. They
 * are kept as wall times are, apart from all results (`.units/timing.jsonl`, a line a file, of which the last counts),
 * for the same run elsewhere has the same bytes at other times. Where they are lost, files are hashed again.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { systemCode } from "../formats/file-error.ts";
import { exists, fileError, readText } from "../formats/files.ts";
import { type GrowingFile, openGrowing } from "../formats/growing-file.ts";
import { RUN_FILES } from "../recipe/layout.ts";

export interface Stamp {
  readonly bytes: number;
  /** Time of the last change, nanoseconds since 1970: more than a double can tell apart. */
  readonly changed: string;
}

export interface SeenFiles {
  /** True where the file, a path in the run directory, is as it was when its bytes were last hashed. */
  isUnchanged(file: string, stamp: Stamp): boolean;
  /** Its bytes have been hashed since it had this stamp. */
  note(file: string, stamp: Stamp): Promise<void>;
  close(): Promise<void>;
}

const seenFile = z.object({ file: z.string(), bytes: z.number(), changed: z.string() });

export async function openSeenFiles(run: string): Promise<SeenFiles> {
  const path = join(run, RUN_FILES.seen);
  const stamps = new Map<string, Stamp>();
  for (const line of (await exists(path)) ? (await readText(path)).split("\n") : []) {
    const { file, ...stamp } = parse(line) ?? { file: "" };
    if ("bytes" in stamp) stamps.set(file, stamp);
  }
  let growing: GrowingFile | undefined;
  return {
    isUnchanged: (file, { bytes, changed }) => {
      const seen = stamps.get(file);
      return seen?.bytes === bytes && seen.changed === changed;
    },
    note: async (file, stamp) => {
      stamps.set(file, stamp);
      growing ??= await openGrowing(path);
      await growing.append(`${JSON.stringify({ file, ...stamp })}\n`);
    },
    close: async () => {
      await growing?.close();
    },
  };
}

/** null where there is no such file. */
export async function stampOf(path: string): Promise<Stamp | null> {
  try {
    const { size, mtimeNs } = await stat(path, { bigint: true });
    return { bytes: Number(size), changed: String(mtimeNs) };
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error))) return null;
    throw fileError(path, error);
  }
}

/** What is no such line only costs time. */
function parse(line: string): z.infer<typeof seenFile> | undefined {
  try {
    return seenFile.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
