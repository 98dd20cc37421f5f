/** A tokenizer of a handful of tokens, which always takes the longest that fits; `<...>` are special. */
import type { Encoding, Tokenizer } from "#src/tokenizer/tokenizer.js";

const utf8 = new TextEncoder();

export function toyTokenizer(tokens: readonly (string | Uint8Array | null)[]): Tokenizer {
  const isSpecial = (id: number): boolean => typeof tokens[id] === "string" && /^<[a-z]+>$/.test(tokens[id]);
  const tokenBytes = (id: number): Uint8Array | null => {
    const token = tokens[id];
    if (token === undefined || token === null || isSpecial(id)) return null;
    return typeof token === "string" ? utf8.encode(token) : token;
  };
  const longest = (bytes: Uint8Array, at: number): number => {
    let best = -1;
    tokens.forEach((_, id) => {
      const own = tokenBytes(id);
      const fits = own?.every((byte, i) => bytes[at + i] === byte) ?? false;
      if (own !== null && fits && (best === -1 || own.length > tokenBytes(best)!.length)) best = id;
    });
    return best;
  };
  const encode = async (text: string): Promise<Encoding> => {
    const bytes = utf8.encode(text);
    const ids: number[] = [];
    const ends: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      const id = longest(bytes, at);
      if (id === -1) throw new Error(`no token for ${text} at ${at}`);
      at += tokenBytes(id)!.length;
      ids.push(id);
      ends.push(at);
    }
    return {
      ids: Int32Array.from(ids),
      byteStart: Int32Array.from([0, ...ends.slice(0, -1)].slice(0, ids.length)),
      byteEnd: Int32Array.from(ends),
      lead: new Uint8Array(ids.length),
    };
  };
  return {
    size: tokens.length,
    sha256: "toy",
    encode,
    encodeBatch: (texts) => Promise.all(texts.map(encode)),
    release: async () => {},
    tokenBytes,
    tokenText: (id) => (typeof tokens[id] === "string" ? tokens[id] : null),
    isSpecial,
    isAdded: isSpecial,
    tokenRank: (id) => (typeof tokens[id] === "string" ? 0 : 1),
    firstTokenOf: async (bytes) => longest(bytes, 0),
    decode: () => "",
  };
}
