/** gzip, several members one after the other included. */
import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import type { Compression } from "./compression.ts";

export const gzip: Compression = {
  name: "gzip",
  suffixes: [".gz", ".gzip"],
  async *decompress(chunks) {
    // The pipeline carries errors of the file along; whoever iterates meets them.
    const stream = pipeline(Readable.from(chunks, { objectMode: true }), createGunzip(), () => {});
    yield* stream as AsyncIterable<Uint8Array>;
  },
};
