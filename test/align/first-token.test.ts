/**
 * The first token of a response, where the pivot's begins with a space of the template and the source's does not: a
 * source that spells `T`, `he` and `T`, `o` beside a pivot that writes ` The` and ` To`, and has a ` T` that it never writes.
 */
import { expect, test } from "vitest";
import { alignPart } from "#src/align/align-part.js";
import { createLeadSwaps } from "#src/align/leads.js";
import { part, type Side } from "#src/align/paired-conversations.js";
import type { PartPlan } from "#src/align/part-plan.js";
import { rowSpans } from "#src/align/sequence.js";
import { bytes as byBytes } from "#src/align/sequences/bytes.js";
import { split } from "#src/align/strategies/split.js";
import { createSurveyor, mergeSurveys } from "#src/align/survey.js";
import { createTransfer } from "#src/align/transfer.js";
import { readVocabulary } from "#src/align/vocabulary.js";
import { buildVocabularyMap } from "#src/align/vocabulary-map.js";
import { halfToNumber } from "#src/formats/float.js";
import { textHashes } from "../distributions/shard-fixture.ts";
import { textShard } from "./text-shards.ts";
import { toyTokenizer } from "./toy-tokenizer.ts";

const pivotTokens = toyTokenizer([" The", " To", " T", " I"]);
const sourceTokens = toyTokenizer(["T", "he", "o", "I"]);
const [THE, TO] = [0, 1];
const pivotVocabulary = readVocabulary(pivotTokens, 4);
const sourceVocabulary = readVocabulary(sourceTokens, 4);
const TEXTS = ["The", "To"];

/** One row a response: the label's space lies before it. */
async function pivotSide(): Promise<Side> {
  const nothing = () => ({ id: [], logp: [] });
  const shard = await textShard(pivotTokens, [" The", " To"], { model: "pivot", vocabulary: 4, topK: 1 }, nothing);
  const whole = { ...shard, ...textHashes(TEXTS), lead: Uint8Array.of(1, 1), byteEnd: Int32Array.of(3, 2) };
  return { path: "pivot", shard: whole, spans: rowSpans(whole, pivotVocabulary) };
}

/** The source says `T` with 0.6 and `I` with 0.4, then `he` or `o` with 0.9. */
async function sourceSide(): Promise<Side> {
  const logs = (...probabilities: number[]): number[] => probabilities.map(Math.log);
  const settings = { model: "source", vocabulary: 4, topK: 2 };
  const shard = await textShard(sourceTokens, TEXTS, settings, (ids) => ({
    id: [0, 3, ids[1]!, 3],
    logp: logs(0.6, 0.4, 0.9, 0.1),
  }));
  const whole = { ...shard, labelLogp: Float32Array.from(logs(0.6, 0.9, 0.6, 0.9)) };
  return { path: "source", shard: whole, spans: rowSpans(whole, sourceVocabulary) };
}

test("has the chain's probability, and what is left of the source's token goes where texts like it went", async () => {
  const [pivot, source] = [await pivotSide(), await sourceSide()];
  const surveyor = createSurveyor(pivotVocabulary, sourceVocabulary, byBytes, "none");
  expect(await surveyor.add({ pivot, find: async (conversation) => part(source, conversation) })).toBe(2);
  const survey = mergeSurveys([surveyor.part()], sourceVocabulary);
  expect(survey.differentLeads).toBe(2);
  const texts = survey.texts.map(({ bytes }) => Buffer.from(bytes).toString());
  expect(texts).toEqual([" I", " T"]);
  const input = { pivot: pivotVocabulary, counts: survey.counts, firstPivotToken: async () => -1 };
  const map = await buildVocabularyMap(split, input, sourceVocabulary, survey, survey.texts, () => true);
  const places = (text: string) => {
    const at = sourceVocabulary.size + texts.indexOf(text);
    return [...map.pivot.subarray(map.start[at]!, map.start[at + 1]!)];
  };
  expect(places(" T")).toEqual([THE, TO]);

  const width = 4;
  const swaps = createLeadSwaps(
    pivotVocabulary,
    sourceVocabulary,
    survey.texts.map(({ bytes }) => bytes),
  );
  const plan: PartPlan = {
    ...{ sequence: byBytes, swaps, sourceVocabulary, map, width, labelMass: "chain", preference: null, spaces: null },
  };
  const rows = {
    sourceRow: new Int32Array(2),
    topId: new Uint16Array(2 * width),
    topLogp: new Uint16Array(2 * width),
  };
  const transfers = { shared: createTransfer(map, 4, width), within: null };
  for (const conversation of [0, 1]) {
    expect(alignPart(plan, transfers, rows, part(pivot, conversation), part(source, conversation))).toBe(1);
    const found = new Map<number, number>();
    for (let k = conversation * width; k < (conversation + 1) * width; k++) {
      found.set(rows.topId[k]!, Math.exp(halfToNumber(rows.topLogp[k]!)) + (found.get(rows.topId[k]!) ?? 0));
    }
    const [label, other] = conversation === 0 ? [THE, TO] : [TO, THE];
    // Half precision keeps a probability to a part in a thousand.
    expect(found.get(label)).toBeCloseTo(0.6 * 0.9, 3);
    expect(found.get(other)).toBeCloseTo(0.6 - 0.6 * 0.9, 3);
    expect(found.get(3)).toBeCloseTo(0.4, 3);
  }
});
