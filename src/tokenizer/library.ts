/**
 * The tokenizer library behind a process of its own, with limits on memory and time: all tokenizers of a program share
 * one. Where a tokenizer ends it, the others are read again when they are next asked.
 */
import { inputError } from "../errors.ts";
import { openSandbox, type Sandbox, SandboxDeath } from "../sandbox/sandbox.ts";
import type { LibraryWork, Opened } from "./library-work.ts";

export interface LibraryOptions {
  /** The file that it was read from, for messages. */
  readonly path: string;
  readonly added: readonly string[];
  readonly normalised: readonly string[];
  /** The whole `tokenizer.json`, asked for at the beginning and where the process had to be started again. */
  readonly json: () => Promise<string>;
}

export interface OpenLibrary {
  readonly opened: Opened;
  /** The ids of each text, without special tokens. */
  encode(texts: readonly string[]): Promise<readonly Int32Array[]>;
  /** Gives its memory back; it is read again where it is asked once more. */
  release(): Promise<void>;
}

/** All tokenizers of 14 published models together take 474 MB, half a million characters in hand some 100. */
const MEMORY_MB = 3000;
/** A `tokenizer.json` of 32 MB is read in 1 s; texts are encoded at a million tokens a second. */
const OPEN_SECONDS = 20;
const SECONDS = 10;
/** Of the library's: its heap is native. */
const HEAP_MB = 1000;

let sandbox: Sandbox<LibraryWork> | undefined;

function libraryProcess(): Sandbox<LibraryWork> {
  sandbox ??= openSandbox({
    script: new URL("./library-process.js", import.meta.url),
    stage: "tokenizer",
    heapMb: HEAP_MB,
  });
  return sandbox;
}

let lastKey = 0;

export async function openLibrary({ path, added, normalised, json }: LibraryOptions): Promise<OpenLibrary> {
  const process = libraryProcess();
  lastKey += 1;
  const key = lastKey;
  const open = async (): Promise<Opened> => {
    const request = { key, json: await json(), added, normalised };
    const opened = await told(path, process.call("open", request, { memoryMb: MEMORY_MB, seconds: OPEN_SECONDS }));
    if ("unreadable" in opened) {
      throw inputError(path, `the tokenizer library cannot read it: ${opened.unreadable}`);
    }
    return opened;
  };
  return {
    opened: await open(),
    encode: async (texts) => {
      for (;;) {
        const ids = await told(path, process.call("encode", { key, texts }, { memoryMb: MEMORY_MB, seconds: SECONDS }));
        if (ids !== null) return ids;
        await open();
      }
    },
    release: async () => {
      if (process.isRunning) await process.call("close", key, { memoryMb: MEMORY_MB, seconds: SECONDS });
    },
  };
}

/** The first id of each text by the tokenizer of `json`, which came from `path`; -1 where a text has no tokens. */
export async function firstIds(path: string, json: string, texts: readonly string[]): Promise<Int32Array> {
  const limits = { memoryMb: MEMORY_MB, seconds: OPEN_SECONDS + SECONDS };
  const ids = await told(path, libraryProcess().call("firstIds", { json, texts }, limits));
  if ("unreadable" in ids) throw inputError(path, `the tokenizer library cannot read it: ${ids.unreadable}`);
  return ids;
}

async function told<T>(path: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof SandboxDeath) throw inputError(path, `the tokenizer library ${error.message}`, error);
    throw error;
  }
}
