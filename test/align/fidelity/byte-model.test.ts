import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { createByteModel, END_OF_TEXT, joinTexts } from "#src/align/fidelity/byte-model.js";
import { readModelTexts, readSampledFile } from "#src/align/fidelity/sampled-file.js";
import { createRandom } from "#src/random.js";
import { tellMissing } from "../../shared.ts";

const utf8 = new TextEncoder();
const [a, b, c] = [97, 98, 99];

/** The formula of the model, context by context. */
function byDefinition(text: Uint8Array, context: readonly number[], byte: number): number {
  const lower = context.length === 0 ? 1 / 256 : byDefinition(text, context.slice(1), byte);
  const following: number[] = [];
  for (let at = context.length; at < text.length; at++) {
    if (context.every((want, k) => text[at - context.length + k] === want)) following.push(text[at]!);
  }
  // Where even the shorter context was not found further back, nothing is added.
  if (context.length === 0 && following.length === 0) return lower;
  const different = new Set(following).size;
  if (following.length === 0) return lower;
  return (following.filter((found) => found === byte).length + different * lower) / (following.length + different);
}

describe("the byte model", () => {
  const text = utf8.encode("abracadabra");

  test("without context counts bytes and gives a share to those never seen", () => {
    // 11 bytes, 5 different ones; a occurs 5 times.
    const distribution = createByteModel(text, 0).distribution(new Uint8Array(0));
    expect(distribution[a]).toBeCloseTo((5 + 5 / 256) / 16, 12);
    expect(distribution[122]).toBeCloseTo(5 / 256 / 16, 12);
  });

  test("after a context counts what follows it, and asks the shorter context for the rest", () => {
    const model = createByteModel(text, 1);
    const empty = createByteModel(text, 0).distribution(new Uint8Array(0));
    // `a` is followed by b, c, d, b: 4 times, 3 different; the last `a` is followed by nothing.
    const distribution = model.distribution(Uint8Array.of(a));
    expect(distribution[b]).toBeCloseTo((2 + 3 * empty[b]!) / 7, 12);
    expect(distribution[c]).toBeCloseTo((1 + 3 * empty[c]!) / 7, 12);
    expect(distribution[a]).toBeCloseTo((3 * empty[a]!) / 7, 12);
  });

  test("agrees with its formula for every context of a text, known and unknown, and adds up to one", () => {
    const model = createByteModel(text, 3);
    for (const context of ["", "a", "ra", "bra", "abr", "zzz", "zra", "racadabr"]) {
      const distribution = model.distribution(utf8.encode(context));
      expect(distribution.reduce((sum, p) => sum + p)).toBeCloseTo(1, 12);
      const last = [...utf8.encode(context)].slice(-3);
      for (const byte of [a, b, c, 122]) expect(distribution[byte]).toBeCloseTo(byDefinition(text, last, byte), 12);
    }
  });

  test("draws bytes as often as it says", () => {
    const model = createByteModel(text, 3);
    const random = createRandom("draws");
    const context = utf8.encode("xab");
    const counts = new Float64Array(256);
    for (let i = 0; i < 40_000; i++) counts[model.sample(context, context.length, random)]!++;
    const distribution = model.distribution(context);
    // Four standard deviations of a share of 40,000 draws.
    for (let byte = 0; byte < 256; byte++)
      expect(Math.abs(counts[byte]! / 40_000 - distribution[byte]!)).toBeLessThan(0.01);
  });

  test("joins texts by zero bytes, theirs taken out", () => {
    expect([...joinTexts(["a", "b\0c"])]).toEqual([END_OF_TEXT, a, END_OF_TEXT, b, c, END_OF_TEXT]);
  });
});

const shared = resolve(import.meta.dirname, "../../../../shared");
const golden = join(shared, "golden/align/fidelity.safetensors");

tellMissing(existsSync(golden), "the golden byte model was not compared");

describe.runIf(existsSync(golden))("against the golden places", () => {
  test("the text is the same, and every next byte is as probable", async () => {
    const file = await readSampledFile(golden);
    const model = createByteModel(joinTexts(readModelTexts(join(shared, "data/chat"), file.modelTexts)));
    expect(model.sha256).toBe(file.modelSha256);
    expect(file.places).toHaveLength(120);
    for (const { context, nextByte } of file.places) {
      const distribution = model.distribution(context);
      // The golden values are float32.
      for (let byte = 0; byte < 256; byte++) expect(Math.abs(distribution[byte]! - nextByte[byte]!)).toBeLessThan(4e-8);
    }
  }, 30_000);
});
