/**
 * Rows as they come from a server, kept until the shard that they belong to is written: a kill loses what was on its way.
 * A record is a whole sequence's rows under the hash of what was asked, with a hash of its own; a torn one ends the file.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { exists, fileError } from "../../formats/files.ts";
import { makeFolder } from "../../formats/folders.ts";
import { openGrowing } from "../../formats/growing-file.ts";
import type { Sequence } from "../engine.ts";
import type { RowViews } from "./candidates.ts";

const FILE = "rows.bin";
const HASH_BYTES = 32;
/** Key, number of rows, K. */
const HEAD_BYTES = HASH_BYTES + 8;

export interface RowJournal {
  /** The rows that are kept under these keys, each into its views; false for those that are not. */
  take(keys: readonly string[], views: (place: number) => RowViews): Promise<boolean[]>;
  keep(key: string, views: RowViews): Promise<void>;
  close(): Promise<void>;
}

/** What rows depend on besides the model, as text: ids, labels and K. */
export function rowsKey({ ids, positions }: Sequence, topK: number): string {
  const hash = createHash("sha256").update(`${topK} ${ids.length}\n`);
  for (const part of [ids, positions]) hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  return hash.digest("hex");
}

/** Opens the journal of a folder, which is made. What is kept of sequences that are not asked for now goes. */
export async function openRowJournal(folder: string): Promise<RowJournal> {
  await makeFolder(folder);
  const path = join(folder, FILE);
  const records = new Map<string, RowViews>();
  let end = 0;
  try {
    if (await exists(path)) end = readRecords(await readFile(path), records);
  } catch (error) {
    throw fileError(path, error);
  }
  let file = await openGrowing(path, end);
  // One append at a time.
  let tail: Promise<unknown> = Promise.resolve();
  return {
    take: async (keys, views) => {
      const found = keys.map((key, place) => {
        const record = records.get(key);
        const wanted = views(place);
        if (record === undefined || record.topLogp.length !== wanted.topLogp.length) return false;
        wanted.labelLogp.set(record.labelLogp);
        wanted.topId.set(record.topId);
        wanted.topLogp.set(record.topLogp);
        return true;
      });
      records.clear();
      if (!found.includes(true)) {
        await file.close();
        file = await openGrowing(path, 0);
      }
      return found;
    },
    keep: async (key, views) => {
      const bytes = recordOf(key, views);
      const appended = tail.then(() => file.append(bytes));
      tail = appended.catch(() => {});
      await appended;
    },
    close: async () => {
      await tail;
      await file.close();
    },
  };
}

function recordOf(key: string, { labelLogp, topId, topLogp }: RowViews): Uint8Array {
  const head = Buffer.alloc(HEAD_BYTES);
  head.write(key, "hex");
  head.writeUInt32LE(labelLogp.length, HASH_BYTES);
  head.writeUInt32LE(labelLogp.length === 0 ? 0 : topId.length / labelLogp.length, HASH_BYTES + 4);
  const parts = [
    head,
    ...[labelLogp, topId, topLogp].map((part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength)),
  ];
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return Buffer.concat([...parts, hash.digest()]);
}

/** Where the last whole record ends. */
function readRecords(bytes: Buffer, records: Map<string, RowViews>): number {
  let at = 0;
  while (at + HEAD_BYTES <= bytes.length) {
    const rows = bytes.readUInt32LE(at + HASH_BYTES);
    const candidates = rows * bytes.readUInt32LE(at + HASH_BYTES + 4);
    const end = at + HEAD_BYTES + 4 * rows + 8 * candidates;
    if (end + HASH_BYTES > bytes.length) break;
    const hash = createHash("sha256").update(bytes.subarray(at, end)).digest();
    if (!hash.equals(bytes.subarray(end, end + HASH_BYTES))) break;
    // A copy: the values need not lie at a multiple of four in the file.
    const values = new Uint8Array(bytes.subarray(at + HEAD_BYTES, end)).buffer;
    records.set(bytes.toString("hex", at, at + HASH_BYTES), {
      labelLogp: new Float32Array(values, 0, rows),
      topId: new Int32Array(values, 4 * rows, candidates),
      topLogp: new Float32Array(values, 4 * (rows + candidates), candidates),
    });
    at = end + HASH_BYTES;
  }
  return at;
}
