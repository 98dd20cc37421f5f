import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseSentencePieceModel } from "#src/tokenizer/sentencepiece-model.js";
import { bytes, FIRST_PIECES, number, sentencePieceFile } from "./sentencepiece-file.ts";

const parse = (file: Uint8Array) => parseSentencePieceModel(file, "m.model");

test("the pieces and the settings of a model are read", () => {
  const file = sentencePieceFile({ pieces: [...FIRST_PIECES, { text: "▁a", score: -1.5 }, { text: "`", type: 4 }] });
  const { pieces, ...settings } = parse(file);
  expect(pieces.length).toBe(261);
  expect(pieces[2]).toEqual({ text: "</s>", score: 0, type: 3 });
  expect(pieces.slice(-2)).toEqual([
    { text: "▁a", score: -1.5, type: 1 },
    { text: "`", score: 0, type: 4 },
  ]);
  expect(settings).toEqual({
    algorithm: "bpe",
    byteFallback: true,
    spaceBehind: false,
    normaliser: "identity",
    rewrites: false,
    addDummyPrefix: true,
    removeExtraSpaces: false,
    escapeSpaces: true,
  });
});

test("what a file leaves out is what the format says, and unknown fields are passed over", () => {
  const piece = Buffer.concat([bytes(1, Buffer.from("a")), number(99, 5)]);
  const file = Buffer.concat([number(77, 2 ** 40), bytes(1, piece), bytes(55, Buffer.alloc(300))]);
  expect(parse(file)).toEqual({
    pieces: [{ text: "a", score: 0, type: 1 }],
    algorithm: "unigram",
    byteFallback: false,
    spaceBehind: false,
    normaliser: "without a name",
    rewrites: false,
    addDummyPrefix: true,
    removeExtraSpaces: true,
    escapeSpaces: true,
  });
});

describe("refused, with the file's name,", () => {
  const nan = Buffer.concat([bytes(1, Buffer.from("a")), Buffer.from([0x15, 0, 0, 0xc0, 0x7f])]);
  test.each([
    ["an empty file", new Uint8Array(0), /m\.model: not a SentencePiece model: no pieces/],
    [
      "a length beyond the end",
      Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
      /a field of 4294967295 bytes at byte 6 is cut off/,
    ],
    ["a number without an end", Buffer.from([0x08, 0xff, 0xff]), /a number is cut off at byte 3/],
    ["a number of eleven bytes", Buffer.alloc(20, 0xff), /a number is cut off at byte 10/],
    ["an unknown kind of field", Buffer.from([0x0b]), /a field of the unknown kind 3 at byte 1/],
    ["the field 0", Buffer.from([0x00, 0x00]), /the field number 0 at byte 1/],
    ["a piece without a text", bytes(1, number(3, 1)), /piece 0 has no text/],
    ["a piece that is not UTF-8", sentencePieceFile({ pieces: [{ text: Uint8Array.of(0xff) }] }), /is not UTF-8/],
    [
      "a piece of 1,025 bytes",
      sentencePieceFile({ pieces: [{ text: "a".repeat(1025) }] }),
      /piece 0 has 1025 bytes, expected at most 1024/,
    ],
    ["a score that is no number", bytes(1, nan), /the score of piece 0 is no number/],
    ["a file of base64 lines, as Llama 3 has it", Buffer.from("IQ== 0\nIg== 1\n"), /not a SentencePiece model/],
  ])("is %s", (_, file, message) => {
    expect(() => parse(file)).toThrow(message);
    expect(() => parse(file)).toThrow(/^m\.model: /);
  });

  test("is any damaged file, or it is read", () => {
    const whole = sentencePieceFile({ pieces: [...FIRST_PIECES.slice(0, 20), { text: "▁the", score: -3 }] });
    const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(damage, fc.nat(whole.length), (changes, length) => {
        const file = Buffer.from(whole.subarray(0, length));
        for (const [at, byte] of changes) if (at < length) file[at] = byte;
        try {
          expect(parse(file).pieces.length).toBeLessThanOrEqual(length);
        } catch (error) {
          expect((error as Error).message).toMatch(/^m\.model: not a SentencePiece model: /);
        }
      }),
      { numRuns: 500, seed: 4 },
    );
  });
});
