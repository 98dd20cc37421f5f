import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { createByteModel, joinTexts } from "#src/align/fidelity/byte-model.js";
import {
  advance,
  drawContinuations,
  nextTokens,
  type Place,
  REJECTED,
  writtenAt,
} from "#src/align/fidelity/sample-rows.js";
import { readModelTexts, readSampledFile } from "#src/align/fidelity/sampled-file.js";
import { mostFrequent, rowFidelity } from "#src/align/fidelity.js";
import { createRandom } from "#src/random.js";
import { tellMissing } from "../../shared.ts";
import { publishedTokenizer } from "../../tokenizer/published.ts";
import { toyTokenizer } from "../toy-tokenizer.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const digits = toyTokenizer(["0", "1", "2", "3", " ", "n", "<end>"]);
const years = toyTokenizer(["0", "1", "2", "3", " ", "n", "201", " n", "<end>"]);
const place: Place = { context: bytes("n n "), prompt: bytes("n "), after: bytes("2013 n") };

describe("how a text is written around a place", () => {
  test("are the tokens before it, and those that follow with their ends", async () => {
    expect(await writtenAt(years, place)).toEqual({
      before: Int32Array.of(5, 4),
      labels: Int32Array.of(6, 3, 7),
      labelEnd: Int32Array.of(3, 4, 6),
    });
  });

  test("is nothing where no token starts there", async () => {
    expect(await writtenAt(years, advance(place, 1))).toBeNull();
    expect((await writtenAt(digits, advance(place, 1)))!.labels[0]).toBe(0);
  });
});

describe("the tokens that come next", () => {
  const reader = { tokenizer: years, endOfTurn: 8 };
  const before = Int32Array.of(5, 4);

  test("are those after the tokens of the prompt, the end of turn where the text ends, none where the prompt changes", async () => {
    const continuations = [
      { text: "n 2013", ended: true },
      { text: "n 203", ended: false },
      { text: "n ", ended: true },
      { text: "n ", ended: false },
      { text: "n n", ended: true },
    ];
    expect([...(await nextTokens(reader, before, continuations))]).toEqual([6, 2, 8, REJECTED, REJECTED]);
  });

  test("come as often as the byte model says", async () => {
    // After `n ` comes 2 or 3; after `n 2` always 01.
    const model = createByteModel(
      joinTexts(["n 2010", "n 2011", "n 33", "n 2010"].flatMap((text) => Array(200).fill(text))),
    );
    const after = { context: bytes("\0n "), prompt: bytes("n "), after: bytes("2010") };
    const drawn = drawContinuations(model, after, 4000, createRandom("rows")).filter(({ text }) =>
      /^[n 0-3]+$/.test(text),
    );
    expect(drawn.length).toBeGreaterThan(3800);
    const share = async (tokenizer: typeof years, token: number): Promise<number> => {
      const next = await nextTokens({ tokenizer, endOfTurn: tokenizer.size - 1 }, before, drawn);
      return next.filter((id) => id === token).length / next.filter((id) => id !== REJECTED).length;
    };
    // Three standard deviations of a share of 4,000 draws, and what the model leaves to bytes never seen.
    expect(Math.abs((await share(years, 6)) - 0.75)).toBeLessThan(0.03);
    expect(Math.abs((await share(years, 3)) - 0.25)).toBeLessThan(0.03);
    expect(await share(years, 2)).toBeLessThan(0.01);
    expect(Math.abs((await share(digits, 2)) - 0.75)).toBeLessThan(0.03);
  });
});

test("continuations end where the model ends a text, and at a whole character", () => {
  const model = createByteModel(joinTexts(["ä", "é€€€€€€€€€€€€", "ä"]));
  const start: Place = { context: bytes("\0"), prompt: bytes(""), after: bytes("ä") };
  const drawn = drawContinuations(model, start, 200, createRandom("utf-8"));
  expect(drawn.filter(({ text, ended }) => text === "ä" && ended).length).toBeGreaterThan(50);
  for (const { text } of drawn.filter(({ ended }) => !ended))
    expect(Buffer.byteLength(text)).toBeGreaterThanOrEqual(21);
});

test("the same text some bytes later", () => {
  expect(advance(place, 3)).toEqual({
    context: Buffer.from("n n 201"),
    prompt: Buffer.from("n 201"),
    after: bytes("3 n"),
  });
});

const shared = resolve(import.meta.dirname, "../../../../shared");
const golden = join(shared, "golden/align/fidelity.safetensors");

tellMissing(existsSync(golden), "no rows of real tokenizers were sampled");

describe.runIf(existsSync(golden))("rows of real tokenizers", () => {
  test.each([
    ["openchat-3.5", "<|end_of_turn|>"],
    ["qwen2.5", "<|im_end|>"],
  ])(
    "of %s come out like those of the oracle",
    async (name, endOfTurn) => {
      const file = await readSampledFile(golden);
      const model = createByteModel(joinTexts(readModelTexts(join(shared, "data/chat"), file.modelTexts)));
      const tokenizer = await publishedTokenizer(name);
      const end = Array.from({ length: tokenizer.size }, (_, id) => id).find(
        (id) => tokenizer.tokenText(id) === endOfTurn,
      )!;
      const flat = new Float64Array(tokenizer.size).fill(1 / tokenizer.size);
      const distances: number[] = [];
      for (let index = 3; index < 120; index += 8) {
        const { label, first, second } = file.rows.get(name)![index]!;
        const written = await writtenAt(tokenizer, file.places[index]!);
        expect([index, written === null ? -1 : written.labels[0]]).toEqual([index, label]);
        if (written === null) continue;
        const drawn = drawContinuations(model, file.places[index]!, 1000, createRandom(`golden/${index}`));
        const next = await nextTokens({ tokenizer, endOfTurn: end }, written.before, drawn);
        const counts = new Map<number, number>();
        for (const id of next) if (id !== REJECTED) counts.set(id, (counts.get(id) ?? 0) + 1);
        const accepted = next.filter((id) => id !== REJECTED).length / 1000;
        const theirs = new Map(first);
        for (const [id, count] of second) theirs.set(id, (theirs.get(id) ?? 0) + count);
        let total = 0;
        for (const count of theirs.values()) total += count;
        // Four standard deviations of a share of 1,000 draws.
        expect(Math.abs(accepted - total / 4000)).toBeLessThan(0.07);
        if (total > 1000) distances.push(rowFidelity(mostFrequent(theirs), mostFrequent(counts), flat).tv);
      }
      expect(distances.length).toBeGreaterThan(8);
      // Two samples of 2,000 of the oracle lie 0.04 apart.
      expect(distances.reduce((sum, tv) => sum + tv) / distances.length).toBeLessThan(0.06);
    },
    60_000,
  );
});
