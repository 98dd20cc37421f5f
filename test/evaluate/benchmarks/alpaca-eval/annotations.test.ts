/** Annotations in files: in the benchmark's order, or refused in a sentence. */
import { existsSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { readAnnotations } from "#src/evaluate/benchmarks/alpaca-eval/annotations.js";
import { inOrder } from "#src/evaluate/benchmarks/alpaca-eval/instruction-order.js";
import { codePoints } from "#src/evaluate/benchmarks/alpaca-eval/json-records.js";
import type { Judgments } from "#src/evaluate/benchmarks/alpaca-eval/judged-pair.js";
import { tellMissing } from "../../../shared.ts";
import { type Annotation, annotations, BASELINE_NAME, filesIn, INSTRUCTIONS } from "./files.ts";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function read(
  content: readonly unknown[] | string | Uint8Array,
  order: { list?: readonly string[]; incomplete?: boolean } = {},
): Promise<Judgments> {
  const files = await filesIn({ a: content });
  folders.push(files.folder);
  return readAnnotations(files.a, BASELINE_NAME, { list: order.list ?? null, incomplete: order.incomplete ?? false });
}

describe("annotations", () => {
  test("are read with lengths in code points, draws of old files, and what the judge said where it chose nothing", async () => {
    const special: Record<number, Record<string, unknown>> = {
      0: { output_2: "a𝒳é\u{1f600}", preference: 0 },
      1: { preference: null, raw_completion: { text: "Neither." } },
      2: { preference: null },
      3: { output_2: " \n" },
    };
    const { model, baseline, judge, pairs } = await read(annotations((place) => special[place] ?? {}));
    expect([model, baseline, judge]).toEqual(["ours", BASELINE_NAME, "a-judge"]);
    expect(pairs[0]).toMatchObject({ length: 4, baselineLength: 14, preference: 1.5, isEmpty: false });
    expect(pairs[1]).toMatchObject({ preference: null, answer: "Neither." });
    expect(pairs[2]).toMatchObject({ preference: null, answer: "not in the file" });
    expect(pairs[3]).toMatchObject({ isEmpty: true });
  });

  test("need not have what is not read: data set, annotator, prices and the judge's own words", async () => {
    const bare = annotations().map(({ dataset: _, annotator: __, raw_completion: ___, ...rest }) => rest);
    const { judge, pairs } = await read(bare);
    expect([judge, pairs.length]).toEqual(["unknown", INSTRUCTIONS.length]);
  });

  test("in another order are put into that of the list", async () => {
    const { pairs } = await read(annotations().reverse(), { list: INSTRUCTIONS });
    expect(pairs.map(({ instruction }) => instruction)).toEqual(INSTRUCTIONS);
  });

  test("of fewer instructions are taken when that is asked for", async () => {
    const { pairs } = await read(annotations().slice(2), { list: INSTRUCTIONS, incomplete: true });
    expect(pairs.length).toBe(INSTRUCTIONS.length - 2);
  });

  const at = (place: number, rest: Record<string, unknown>): Annotation[] =>
    annotations((other) => (other === place ? rest : {}));
  const cases: [string, readonly unknown[] | string | Uint8Array, RegExp][] = [
    [
      "another baseline",
      annotations(() => ({ generator_1: "text_davinci_003" })),
      /record 1: expected the baseline gpt4_1106_preview as generator_1, found "text_davinci_003"; figures against another baseline do not compare$/,
    ],
    [
      "two models",
      at(4, { generator_2: "theirs" }),
      /record 5: expected one model as generator_2, found theirs after ours$/,
    ],
    [
      "an instruction twice",
      at(4, { instruction: INSTRUCTIONS[1] }),
      /record 5: "Say \{output_1\} 2 times\." was record 2 already; expected every instruction once$/,
    ],
    [
      "an instruction missing",
      annotations().slice(1),
      /expected 12 instructions, found 11: instruction 1 \("Say \{output_1\} 1 times\."\) is missing; add --incomplete to score what is there$/,
    ],
    [
      "a strange instruction",
      at(4, { instruction: "What?" }),
      /record 5: "What\?" is none of the list's 12 instructions$/,
    ],
    [
      "a preference of another scale",
      at(4, { preference: 2.5 }),
      /record 5: expected a preference from 1 to 2, or null, found 2\.5$/,
    ],
    [
      "a preference below it",
      at(4, { preference: -1 }),
      /record 5: expected a preference from 1 to 2, or null, found -1$/,
    ],
    [
      "no preference at all",
      at(4, { preference: undefined }),
      /record 5: preference: .*; the file should be AlpacaEval 2\.0's annotations\.json/,
    ],
    [
      "no instruction",
      at(4, { instruction: undefined }),
      /record 5: instruction: .*; the file should be AlpacaEval 2\.0's annotations\.json/,
    ],
    [
      "no list",
      "{}",
      /a\.json: expected AlpacaEval 2\.0's annotations\.json.*, a JSON array of objects, found an object$/,
    ],
    ["nothing in it", "[]", /a JSON array of objects, found an empty one$/],
    ["JSON cut short", '[{"instruction": ', /a\.json:1:18: expected JSON, found the end of the file$/],
    [
      "other bytes than UTF-8",
      Uint8Array.of(0x5b, 0x22, 0xc3, 0x28),
      /expected UTF-8 text, found other bytes at offset 3$/,
    ],
  ];
  test.each(cases)("with %s are refused in a sentence", async (_, content, message) => {
    await expect(read(content, { list: INSTRUCTIONS })).rejects.toThrow(message);
    await expect(read(content, { list: INSTRUCTIONS })).rejects.toHaveProperty("exitCode", 2);
  });

  test("that are not there are told from where to get", async () => {
    await expect(readAnnotations("/nowhere/a.json", BASELINE_NAME, { list: null, incomplete: false })).rejects.toThrow(
      /^\/nowhere\/a\.json: no such file; expected AlpacaEval 2\.0's annotations\.json, as in alpaca_eval's results/,
    );
  });
});

test("lengths are counted in code points, a lone half of a pair as one", () => {
  expect(
    ["", "abc", "é", "e\u0301", "\u{1f600}", "\ud800", "\ud800\ud83d\ude00", "\ude00\ud83d"].map(codePoints),
  ).toEqual([0, 3, 1, 2, 1, 1, 2, 2]);
});

test("instructions of one's own keep their order where no list is given", () => {
  const records = [...INSTRUCTIONS].reverse().map((instruction) => ({ instruction }));
  expect(inOrder("a.json", records, { list: null, incomplete: false })).toEqual(records);
});

const baseline = resolve(import.meta.dirname, "../../../../../shared/data/alpaca_eval_2/gpt4_1106_preview.json");
const present = existsSync(baseline);

tellMissing(present, "the benchmark's own order was not checked");

describe.runIf(present)("AlpacaEval 2.0's own instructions, known by their fingerprints", () => {
  const records: { instruction: string }[] = present ? JSON.parse(readFileSync(baseline, "utf8")) : [];
  const ordered = (changed: { instruction: string }[], incomplete = false): { instruction: string }[] =>
    inOrder("a.json", changed, { list: null, incomplete });

  test("in the benchmark's order are taken", () => {
    expect(ordered(records)).toEqual(records);
  });

  test("in another order are refused, with the place", () => {
    const swapped = [...records];
    [swapped[16], swapped[202]] = [swapped[202]!, swapped[16]!];
    expect(() => ordered(swapped)).toThrow(
      "a.json: record 18: instruction 18 of AlpacaEval 2.0 stands after instruction 203; expected the benchmark's order, " +
        "which --baseline gpt4_1106_preview.json restores",
    );
  });

  test("of which some are missing are refused, or taken where that is asked for", () => {
    const some = records.filter((_, place) => place !== 40 && place !== 41);
    expect(() => ordered(some)).toThrow(
      "a.json: expected 805 instructions, found 803: instruction 41 is missing; add --incomplete to score what is there",
    );
    expect(ordered(some, true)).toEqual(some);
  });

  test("among which there is another are refused", () => {
    const strange = records.map((record, place) => (place === 9 ? { instruction: "What?" } : record));
    expect(() => ordered(strange)).toThrow(/record 10: "What\?" is none of AlpacaEval 2.0's 805 instructions/);
  });
});
