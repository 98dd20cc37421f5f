/** What a compression is. One file each exports one `Compression`; `index.ts` lists them. */
export interface Compression {
  readonly name: string;
  /** Added to the name of a file, with the dot, in lower case. */
  readonly suffixes: readonly string[];
  /** The bytes, in pieces of bounded size: never more than is asked for, so that a small file cannot fill the memory. */
  decompress(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
}
