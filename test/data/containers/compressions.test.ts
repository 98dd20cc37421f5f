import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { gzip } from "#src/data/containers/compressions/gzip.js";
import { zstd } from "#src/data/containers/compressions/zstd.js";
import { ANSWER, fileWith, linesOf, QUESTION, refusal, turnsOf } from "../files.ts";

const RECORD = { messages: [QUESTION, ANSWER] };
const ZSTD = readFileSync(resolve(import.meta.dirname, "../../golden/datasets/chats.jsonl.zst"));
const PLAIN = readFileSync(join(import.meta.dirname, "../../golden/datasets/chats.jsonl"));

/** A frame of blocks that repeat one byte, each 128 KiB, with a window of `exponent` bits. */
function repeated(blocks: number, exponent: number): Buffer {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (exponent - 10) << 3]);
  const block = (isLast: boolean): Buffer => {
    const word = (isLast ? 1 : 0) | (1 << 1) | ((1 << 17) << 3);
    return Buffer.from([word & 255, (word >> 8) & 255, word >> 16, 0x20]);
  };
  return Buffer.concat([header, ...Array.from({ length: blocks }, (_, index) => block(index === blocks - 1))]);
}

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

test.each([1, 7, 1 << 16])("zstd frames in pieces of %i bytes are the text", async (size) => {
  const out: Uint8Array[] = [];
  for await (const bytes of zstd.decompress(inPieces(ZSTD, size))) out.push(bytes);
  expect(Buffer.concat(out).equals(PLAIN)).toBe(true);
});

test("several members of gzip are one text", async () => {
  const bytes = Buffer.concat([gzipSync(`${linesOf(RECORD)}\n`), gzipSync(linesOf(RECORD))]);
  expect((await turnsOf(await fileWith("a.jsonl.gz", bytes))).length).toBe(2);
});

test.each([
  ["a.jsonl.gz", gzipSync(linesOf(RECORD)).subarray(0, 30), /expected gzip, but it cannot be decompressed/],
  ["a.jsonl.gz", Buffer.from(linesOf(RECORD)), /expected gzip, but it cannot be decompressed/],
  ["a.jsonl.zst", ZSTD.subarray(0, 100), /expected zstd, .*: it ends within a frame; it was cut off$/],
  ["a.jsonl.zst", Buffer.from(linesOf(RECORD)), /expected zstd, .*: its bytes are not zstd$/],
  [
    "a.jsonl.zst",
    repeated(1, 31),
    /its window of 2147483648 bytes is more than 134217728; compress it without --long$/,
  ],
])("%s that is none or was cut is told in one sentence", async (name, bytes, message) => {
  expect(await refusal(await fileWith(name, bytes))).toMatch(message);
});

test("what a few bytes stand for comes in small pieces", async () => {
  for (const [compression, bytes] of [
    [gzip, gzipSync(Buffer.alloc(1 << 27, 0x20))],
    [zstd, repeated(1 << 10, 17)],
  ] as const) {
    let total = 0;
    let largest = 0;
    for await (const piece of compression.decompress(inPieces(bytes, 1 << 16))) {
      total += piece.length;
      largest = Math.max(largest, piece.length);
    }
    expect(total).toBe(1 << 27);
    expect(largest).toBeLessThanOrEqual(1 << 17);
  }
});
