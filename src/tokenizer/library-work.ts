/**
 * What the process does in which the tokenizer library runs: a `tokenizer.json` is a program of regular expressions by
 * somebody else, and where one exceeds what the native code allows, it ends the process.
 */
import { Tokenizer as Library } from "tokenizers";

export interface OpenRequest {
  /** By which later calls name it. */
  readonly key: number;
  readonly json: string;
  /** Added tokens whose ids are asked for, and those of them that the library normalises. */
  readonly added: readonly string[];
  readonly normalised: readonly string[];
}

export interface Opened {
  /** [added] ids, -1 where the library has none. */
  readonly ids: Int32Array;
  /** [normalised] how the normaliser leaves each. */
  readonly normalised: readonly string[];
}

/** What the library says is wrong with a file. */
export interface Unreadable {
  readonly unreadable: string;
}

export interface LibraryWork {
  open(request: OpenRequest): Promise<Opened | Unreadable>;
  /** The ids of each text, without special tokens; null where this process has no tokenizer of this key. */
  encode(request: { readonly key: number; readonly texts: readonly string[] }): Promise<readonly Int32Array[] | null>;
  /** The first id of each text, -1 where there is none, of a tokenizer that is needed for this alone. */
  firstIds(request: { readonly json: string; readonly texts: readonly string[] }): Promise<Int32Array | Unreadable>;
  close(key: number): Promise<void>;
}

/** Texts that the library is given at once for their first ids: an Encoding holds strings and words besides the ids. */
const FIRST_IDS_AT_ONCE = 512;

export function createLibraryWork(): LibraryWork {
  const open = new Map<number, Library>();
  const encode = async (library: Library, texts: readonly string[]): Promise<readonly Int32Array[]> => {
    const encodings = await library.encodeBatch([...texts], { addSpecialTokens: false });
    return encodings.map((encoding) => Int32Array.from(encoding.getIds()));
  };
  return {
    open: async ({ key, json, added, normalised }) => {
      const library = read(json);
      if ("unreadable" in library) return library;
      library.disableTruncation();
      library.disablePadding();
      open.set(key, library);
      const normaliser = library.getNormalizer();
      return {
        ids: Int32Array.from(added, (content) => library.tokenToId(content) ?? -1),
        normalised: normalised.map((content) => normaliser?.normalizeString(content) ?? content),
      };
    },
    encode: async ({ key, texts }) => {
      const library = open.get(key);
      return library === undefined ? null : encode(library, texts);
    },
    firstIds: async ({ json, texts }) => {
      const library = read(json);
      if ("unreadable" in library) return library;
      const first = new Int32Array(texts.length).fill(-1);
      for (let from = 0; from < texts.length; from += FIRST_IDS_AT_ONCE) {
        const batch = await encode(library, texts.slice(from, from + FIRST_IDS_AT_ONCE));
        for (const [index, ids] of batch.entries()) first[from + index] = ids[0] ?? -1;
      }
      return first;
    },
    close: async (key) => {
      open.delete(key);
    },
  };
}

function read(json: string): Library | Unreadable {
  try {
    return Library.fromString(json);
  } catch (error) {
    return { unreadable: error instanceof Error ? error.message : "it threw what is no error" };
  }
}
