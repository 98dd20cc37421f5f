/**
 * The rendered tokens of all conversations in a file of their own while a target trains: some hundred megabytes at the
 * size of the papers' data, of which a step needs a batch. It lies in the target's folder under a temporary name, and
 * goes with the training.
 */
import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { failure } from "../errors.ts";
import { fileError, readFully, writeFully } from "../formats/files.ts";
import type { ConversationTokens } from "./rendering.ts";

export interface TokenFile {
  /** Adds conversations, in order. */
  append(conversations: readonly ConversationTokens[]): Promise<void>;
  /** The conversation that was added as number `place`. */
  read(place: number): Promise<ConversationTokens>;
  /** Removes the file. */
  dispose(): Promise<void>;
}

/** Where a conversation's ids begin, how many they are, and how many positions follow them. */
interface Place {
  readonly begin: number;
  readonly ids: number;
  readonly positions: number;
}

const BYTES = Int32Array.BYTES_PER_ELEMENT;

export async function openTokenFile(folder: string): Promise<TokenFile> {
  const path = join(folder, `tokens.${process.pid}.tmp`);
  let handle: FileHandle;
  try {
    handle = await open(path, "w+");
  } catch (error) {
    throw fileError(path, error);
  }
  const places: Place[] = [];
  let end = 0;
  return {
    append: async (conversations) => {
      const entries = conversations.reduce((sum, { ids, positions }) => sum + ids.length + positions.length, 0);
      const together = new Int32Array(entries);
      let at = 0;
      for (const { ids, positions } of conversations) {
        together.set(ids, at);
        together.set(positions, at + ids.length);
        places.push({ begin: end + at * BYTES, ids: ids.length, positions: positions.length });
        at += ids.length + positions.length;
      }
      try {
        await writeFully(handle, new Uint8Array(together.buffer), end);
      } catch (error) {
        throw fileError(path, error);
      }
      end += together.byteLength;
    },
    read: async (place) => {
      const { begin, ids, positions } = places[place]!;
      const both = new Int32Array(ids + positions);
      try {
        const count = await readFully(handle, new Uint8Array(both.buffer), begin);
        if (count < both.byteLength) throw failure(path, "was cut while the training ran; run the same command again");
      } catch (error) {
        throw fileError(path, error);
      }
      return { ids: both.subarray(0, ids), positions: both.subarray(ids) };
    },
    dispose: async () => {
      await handle.close();
      await rm(path, { force: true });
    },
  };
}
