/**
 * What the rest of the program needs of a tokenizer. Everything speaks of UTF-8 bytes: two tokenizers have nothing
 * else in common.
 */

/** A text and its tokens. The spans tile the text: each token starts where the one before ends. */
export interface Encoding {
  readonly ids: Int32Array;
  /** [tokens] UTF-8 byte offsets into the text, of what the token stands for in it. */
  readonly byteStart: Int32Array;
  readonly byteEnd: Int32Array;
  /** [tokens] how many of the token's own first bytes stand for nothing in the text: 1 for a dummy prefix, else 0. */
  readonly lead: Uint8Array;
}

/** The tokens themselves. */
export interface TokenTable {
  /** Largest id + 1. A model's head may be wider (padding). */
  readonly size: number;
  /** SHA-256 of `tokenizer.json`, lower-case hex. */
  readonly sha256: string;
  /** A token's own bytes, or null for a special token and for an id that has no token. An added token that is not special is text. */
  tokenBytes(id: number): Uint8Array | null;
  /** The token as the file spells it, or null where the id has none. */
  tokenText(id: number): string | null;
  /** As transformers has it: marked so in any file of the folder, or named, as `eos_token` for one. */
  isSpecial(id: number): boolean;
  /** Special or not: a text is searched for these tokens before it is cut into pieces. */
  isAdded(id: number): boolean;
  /** Among tokens with equal bytes the preferred one is an ordinary piece (0), a `<0xNN>` byte piece (1), an added token (2). */
  tokenRank(id: number): number;
  /** The text of these tokens; special tokens are left out; bytes that are not UTF-8 become U+FFFD. */
  decode(ids: ArrayLike<number>): string;
}

/** The tokens, and how texts become tokens. */
export interface Tokenizer extends TokenTable {
  /** No special tokens are added; added tokens that stand in the text are recognised. */
  encode(text: string): Promise<Encoding>;
  encodeBatch(texts: readonly string[]): Promise<Encoding[]>;
  /** Gives back what the encoding holds, tens of megabytes of another process; the next text makes it anew. */
  release(): Promise<void>;
  /** The first token of these bytes in running text: without dummy prefix, without recognising added tokens (`prefix` strategy). -1 for no bytes. */
  firstTokenOf(bytes: Uint8Array): Promise<number>;
}
