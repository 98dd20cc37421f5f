/**
 * Spaces that one model writes as a token of their own and the other with the word behind them: at the beginning of a
 * response, where the space is the template's, and between words.
 */
import { describe, expect, test } from "vitest";
import { alignPart } from "#src/align/align-part.js";
import { createLeadSwaps } from "#src/align/leads.js";
import { part, type Side } from "#src/align/paired-conversations.js";
import { createPreference } from "#src/align/preference.js";
import { rowSpans } from "#src/align/sequence.js";
import { bytes as byBytes } from "#src/align/sequences/bytes.js";
import { neverFollowing } from "#src/align/spaces/following.js";
import { loneSpaces } from "#src/align/spaces/lone-space.js";
import { split } from "#src/align/strategies/split.js";
import { createSurveyor, mergeSurveys } from "#src/align/survey.js";
import { createTransfer } from "#src/align/transfer.js";
import { readVocabulary } from "#src/align/vocabulary.js";
import { buildVocabularyMap } from "#src/align/vocabulary-map.js";
import type { DistributionsShard } from "#src/distributions/shard.js";
import { halfToNumber, numberToHalf } from "#src/formats/float.js";
import { createRandom } from "#src/random.js";
import { textShard } from "./text-shards.ts";
import { toyTokenizer } from "./toy-tokenizer.ts";

/** What a model says at each of a text's rows, by token. */
type Said = readonly Readonly<Record<string, number>>[];

const WIDTH = 24;

interface Speaker {
  readonly tokens: readonly string[];
  /** Text by text. */
  readonly said: readonly Said[];
  readonly sampled?: boolean;
}

async function sideOf({ tokens, said, sampled }: Speaker, texts: readonly string[], isLead: boolean): Promise<Side> {
  const tokenizer = toyTokenizer(tokens);
  const topK = Math.max(4, ...said.flat().map((distribution) => Object.keys(distribution).length));
  const shard = await textShard(tokenizer, texts, { model: "toy", vocabulary: tokens.length, topK }, () => ({
    id: [],
    logp: [],
  }));
  const topId = new Uint16Array(shard.token.length * topK);
  const topLogp = new Uint16Array(topId.length).fill(numberToHalf(-Infinity));
  const labelLogp = new Float32Array(shard.token.length);
  for (const [row, distribution] of said.flat().entries()) {
    const entries = Object.entries(distribution).sort(([, a], [, b]) => b - a);
    for (const [k, [token, probability]] of entries.entries()) {
      const id = tokens.indexOf(token);
      topId[row * topK + k] = id;
      topLogp[row * topK + k] = numberToHalf(Math.log(probability));
      if (id === shard.token[row]) labelLogp[row] = Math.log(probability);
    }
  }
  const metadata = { ...shard.metadata, ...(sampled === true && { rows: "sampled" as const }) };
  const told: DistributionsShard = { ...shard, metadata, topId, topLogp, labelLogp };
  const whole = isLead ? behindSpace(told) : told;
  const vocabulary = readVocabulary(tokenizer, tokens.length);
  return { path: "toy", shard: whole, spans: rowSpans(whole, vocabulary) };
}

/** The first byte is the template's. */
function behindSpace(shard: DistributionsShard): DistributionsShard {
  const back = (bytes: Int32Array): Int32Array => bytes.map((at) => Math.max(0, at - 1));
  const lead = Uint8Array.from(shard.byteStart, (at, row) => (at === 0 && shard.byteEnd[row]! > 1 ? 1 : 0));
  return { ...shard, byteStart: back(shard.byteStart), byteEnd: back(shard.byteEnd), lead };
}

/** Of each row of the pivot the aligned distribution, by the pivot's tokens; text by text. */
async function aligned(
  pivot: Speaker,
  source: Speaker,
  texts: readonly string[],
  changes: {
    readonly isLead?: boolean;
    readonly isSourceLead?: boolean;
    readonly sourceTexts?: readonly string[];
  } = {},
): Promise<Record<string, number>[][]> {
  const { isLead = true, sourceTexts = texts } = changes;
  const { isSourceLead = isLead } = changes;
  const pivotTokenizer = toyTokenizer(pivot.tokens);
  const pivotVocabulary = readVocabulary(pivotTokenizer, pivot.tokens.length);
  const sourceVocabulary = readVocabulary(toyTokenizer(source.tokens), source.tokens.length);
  const here = await sideOf(pivot, texts, isLead);
  const there = await sideOf(source, sourceTexts, isSourceLead);
  const { conversationSha256 } = here.shard;
  const same = { ...there, shard: { ...there.shard, conversationSha256 } };
  const surveyor = createSurveyor(pivotVocabulary, sourceVocabulary, byBytes, "conditional");
  await surveyor.add({ pivot: here, find: async (conversation) => part(same, conversation) });
  const survey = mergeSurveys([surveyor.part()], sourceVocabulary);
  const input = {
    pivot: pivotVocabulary,
    counts: survey.counts,
    firstPivotToken: async (bytes: Uint8Array) => pivotTokenizer.firstTokenOf(bytes),
  };
  const map = await buildVocabularyMap(split, input, sourceVocabulary, survey, survey.texts, () => true);
  const never = await neverFollowing(survey.pivotSpaces, new Set(map.pivot), input);
  const rows = {
    sourceRow: new Int32Array(here.shard.token.length),
    withinRow: new Int32Array(here.shard.token.length),
    topId: new Uint16Array(here.shard.token.length * WIDTH),
    topLogp: new Uint16Array(here.shard.token.length * WIDTH),
  };
  const swaps = createLeadSwaps(
    pivotVocabulary,
    sourceVocabulary,
    survey.texts.map(({ bytes }) => bytes),
  );
  const spaces = { pivot: loneSpaces(pivotVocabulary), source: loneSpaces(sourceVocabulary), never };
  const preference = createPreference(pivot.tokens.length);
  const plan = {
    ...{ sequence: byBytes, swaps, sourceVocabulary, map, width: WIDTH, labelMass: "chain" as const },
    ...{ preference, spaces },
  };
  const transfer = () => createTransfer(map, pivot.tokens.length, WIDTH);
  const transfers = { shared: transfer(), within: transfer() };
  return texts.map((_, n) => {
    const ours = part(here, n);
    alignPart(plan, transfers, rows, ours, part(same, n));
    return Array.from({ length: ours.to - ours.from }, (_, r) => {
      const found: Record<string, number> = {};
      for (let k = (ours.from + r) * WIDTH; k < (ours.from + r + 1) * WIDTH; k++) {
        const probability = Math.exp(halfToNumber(rows.topLogp[k]!));
        if (probability > 0) found[pivot.tokens[rows.topId[k]!]!] = Number(probability.toFixed(3));
      }
      return found;
    });
  });
}

describe("a source that writes the template's space by itself", () => {
  const pivot: Speaker = {
    tokens: [" The", " To", " S", "ome", " "],
    said: [[{ " The": 0.6, " S": 0.3 }], [{ " The": 0.6, " S": 0.3 }, { ome: 1 }], [{ " To": 0.5, " The": 0.4 }]],
  };
  const space = { " ": 0.7, " S": 0.3 };
  const word = { The: 0.8, To: 0.2 };
  const source: Speaker = {
    tokens: [" ", "The", "To", " S", "ome"],
    said: [
      [space, word],
      [space, { ome: 1 }],
      [space, word],
    ],
  };
  const texts = [" The", " Some", " To"];

  test("tells the words behind the space and those that begin with it, whichever of them comes", async () => {
    const [the, some, to] = await aligned(pivot, source, texts);
    expect(the).toEqual([{ " The": 0.56, " S": 0.3, " To": 0.14 }]);
    expect(to).toEqual([{ " The": 0.56, " S": 0.3, " To": 0.14 }]);
    // Nobody has told what comes behind the space: its mass is divided as the pivot would, over the words it has come before.
    expect(some![0]![" S"]).toBe(0.3);
    expect(some![0]![" The"]! + some![0]![" To"]!).toBeCloseTo(0.7, 3);
    expect(some![0]![" The"]).toBeGreaterThan(0.65);
    expect(some![1]).toEqual({ ome: 1 });
  });

  test("and where the pivot begins without a space", async () => {
    const bare: Speaker = {
      tokens: ["The", "To", "S", "ome"],
      said: [[{ The: 0.6, S: 0.3 }], [{ The: 0.6, S: 0.3 }, { ome: 1 }], [{ To: 0.5 }]],
    };
    const own = ["The", "Some", "To"];
    const [the] = await aligned(bare, source, own, { isLead: false, isSourceLead: true, sourceTexts: texts });
    expect(the).toEqual([{ The: 0.56, S: 0.3, To: 0.14 }]);
  });

  test("of drawn rows what was drawn", async () => {
    const drawn: Speaker = { ...source, sampled: true };
    const [the] = await aligned(pivot, drawn, texts);
    expect(the).toEqual([{ " The": 0.56, " S": 0.3, " To": 0.14 }]);
  });
});

describe("a pivot that has written a space by itself", () => {
  const pivot: Speaker = {
    tokens: [" ", " M", "G", "ono", "M", "ostly"],
    said: [
      [{ " ": 0.5, " M": 0.5 }, { G: 1 }, { ono: 1 }],
      [{ " ": 0.5, " M": 0.5 }, { ostly: 1 }],
    ],
  };
  const word = { Gono: 0.6, Mostly: 0.4 };
  const source: Speaker = { tokens: ["Gono", "Mostly"], said: [[word], [word]] };
  const texts = [" Gono", " Mostly"];

  test("hears of words that it would have begun otherwise before the space, and not behind it", async () => {
    const [gono, mostly] = await aligned(pivot, source, texts, {
      isSourceLead: false,
      sourceTexts: ["Gono", "Mostly"],
    });
    expect(gono).toEqual([{ " ": 0.6, " M": 0.4 }, { G: 1 }, { ono: 1 }]);
    expect(mostly![0]).toEqual({ " ": 0.6, " M": 0.4 });
  });

  test("so between words, where the source's words begin with their space", async () => {
    const inner: Speaker = {
      tokens: [" Gono", " Mostly"],
      said: [[word].map(() => ({ " Gono": 0.6, " Mostly": 0.4 })), [{ " Gono": 0.6, " Mostly": 0.4 }]],
    };
    const [gono] = await aligned(pivot, inner, texts, { isLead: false });
    expect(gono).toEqual([{ " ": 0.6, " M": 0.4 }, { G: 1 }, { ono: 1 }]);
  });

  test("and where both write it", async () => {
    const both: Speaker = {
      tokens: [" ", "Gono", "Mostly"],
      said: [
        [{ " ": 1 }, word],
        [{ " ": 1 }, word],
      ],
    };
    for (const isLead of [true, false]) {
      const [gono, mostly] = await aligned(pivot, both, texts, { isLead });
      expect(gono).toEqual([{ " ": 0.6, " M": 0.4 }, { G: 1 }, { ono: 1 }]);
      expect(mostly![0]).toEqual({ " ": 0.6, " M": 0.4 });
    }
  });
});

/** What a model that knows all texts says at each of their rows: the probabilities of the tokens that go on from there. */
async function truthOf(tokens: readonly string[], texts: ReadonlyMap<string, number>): Promise<Said[]> {
  const tokenizer = toyTokenizer(tokens);
  const encoded = await Promise.all(
    [...texts].map(async ([text, p]) => ({ p, ids: [...(await tokenizer.encode(text)).ids] })),
  );
  return encoded.map(({ ids }) =>
    ids.map((_, row) => {
      const sums: Record<string, number> = {};
      const alike = encoded.filter((other) => ids.slice(0, row).every((id, at) => other.ids[at] === id));
      const all = alike.reduce((sum, { p }) => sum + p, 0);
      for (const other of alike) {
        const token = tokens[other.ids[row]!]!;
        sums[token] = (sums[token] ?? 0) + other.p / all;
      }
      return sums;
    }),
  );
}

test("of two models that know the truth the mean target is the truth, whichever words each begins with their space", async () => {
  const words = ["red", "blue", "green", "grey", "black"];
  for (let draw = 0; draw < 60; draw++) {
    const random = createRandom(`spaces/${draw}`);
    const vocabulary = (share: number): string[] => {
      const joined = words.filter(() => random.next() < share);
      return [" ", ...words, ...joined.map((word) => ` ${word}`)];
    };
    // A source that writes some words with their space and some behind one leaves it to the pivot what its space means
    // where the text goes on otherwise.
    const [ours, theirs] = [vocabulary(0.5), vocabulary(draw % 2)];
    const isLead = random.next() < 0.5;
    const isSourceLead = random.next() < 0.5;
    const begin = (isLead_: boolean): string => (isLead_ ? " " : "");
    const drawn = words.flatMap((one) => words.map((two) => [`${one} ${two}`, random.next() ** 3] as const));
    const all = drawn.reduce((sum, [, weight]) => sum + weight, 0);
    const probabilities = drawn.map(([, weight]) => weight / all);
    const texts = (lead: boolean): string[] => drawn.map(([text]) => begin(lead) + text);
    const known = (lead: boolean) => new Map(texts(lead).map((text, n) => [text, probabilities[n]!]));
    const pivot: Speaker = { tokens: ours, said: await truthOf(ours, known(isLead)) };
    const source: Speaker = { tokens: theirs, said: await truthOf(theirs, known(isSourceLead)) };
    const found = await aligned(pivot, source, texts(isLead), {
      isLead,
      isSourceLead,
      sourceTexts: texts(isSourceLead),
    });
    /** By what the pivot has written. */
    const means = new Map<
      string,
      { weight: number; truth: Readonly<Record<string, number>>; sums: Record<string, number> }
    >();
    const tokenizer = toyTokenizer(ours);
    for (const [n, text] of texts(isLead).entries()) {
      const ids = [...(await tokenizer.encode(text)).ids];
      for (const [row, target] of found[n]!.entries()) {
        // Rows that the source has nothing for get the label, whose mean is the truth.
        const taught = Object.keys(target).length > 0 ? target : { [ours[ids[row]!]!]: 1 };
        const key = ids.slice(0, row).join();
        const mean = means.get(key) ?? { weight: 0, truth: pivot.said[n]![row]!, sums: {} };
        means.set(key, mean);
        mean.weight += probabilities[n]!;
        const mass = Object.values(taught).reduce((sum, p) => sum + p, 0);
        for (const [token, p] of Object.entries(taught)) {
          mean.sums[token] = (mean.sums[token] ?? 0) + (probabilities[n]! * p) / mass;
        }
      }
    }
    for (const [key, { weight, truth, sums }] of means) {
      const tokens = new Set([...Object.keys(truth), ...Object.keys(sums)]);
      for (const token of tokens) {
        const difference = (sums[token] ?? 0) / weight - (truth[token] ?? 0);
        expect(Math.abs(difference), `draw ${draw}, behind ${key || "nothing"}: ${token}`).toBeLessThan(0.01);
      }
    }
  }
});

test("tokens of white space alone are spaces, special ones and empty places are not", () => {
  const tokens = [" ", "\n\n", "a", " a", "<end>", null, "\t "];
  expect([...loneSpaces(readVocabulary(toyTokenizer(tokens), tokens.length))]).toEqual([1, 1, 0, 0, 0, 0, 1]);
});
