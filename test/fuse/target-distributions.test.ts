import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { halfToNumber, numberToHalf } from "#src/formats/float.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { avgCe } from "#src/fuse/functions/avg-ce.js";
import type { FusionFunction } from "#src/fuse/functions/function.js";
import { minCe } from "#src/fuse/functions/min-ce.js";
import { TAILS } from "#src/fuse/options.js";
import type { PairConversation } from "#src/fuse/pair-conversation.js";
import {
  buildTargetDistributions,
  conversationShares,
  rowShares,
  type TargetDistributionRules,
  type TargetDistributions,
} from "#src/fuse/target-distributions.js";
import { alignedShard, HAS_TOKEN, pairConversation } from "./pair-fixture.ts";
import { readPair } from "./whole-pair.ts";

const RULES: TargetDistributionRules = {
  function: minCe,
  level: "conversation",
  record: null,
  tail: "renormalise",
  unshared: "label",
  hasToken: HAS_TOKEN,
  width: 3,
};

/** Row r as a map from id to probability. */
function row(targets: TargetDistributions, r: number, width = 3): Record<number, number> {
  const found: Record<number, number> = {};
  for (let k = r * width; k < (r + 1) * width; k++) {
    if (targets.probability[k]! > 0) found[targets.id[k]!] = targets.probability[k]!;
    else expect(targets.id[k]).toBe(0);
  }
  return found;
}

/** What float16 makes of the logarithm of a probability. */
const stored = (probability: number): number => Math.exp(halfToNumber(numberToHalf(Math.log(probability))));

describe("the source is chosen for the conversation", () => {
  test("renormalise divides its stored mass by the sum", () => {
    const targets = buildTargetDistributions(pairConversation(), RULES);
    const [half, quarter] = [stored(0.5), stored(0.25)];
    const first = row(targets, 0);
    expect(Object.keys(first)).toEqual(["1", "4"]);
    expect(first[4]).toBeCloseTo(half / (half + quarter), 6);
    expect(first[1]).toBeCloseTo(quarter / (half + quarter), 6);
    expect(targets.tail).toBeNull();
  });

  test("drop keeps the stored mass, bucket puts the rest into the tail", () => {
    const dropped = buildTargetDistributions(pairConversation(), { ...RULES, tail: "drop" });
    expect(row(dropped, 0)[4]).toBeCloseTo(stored(0.5), 6);
    expect(dropped.tail).toBeNull();
    const bucket = buildTargetDistributions(pairConversation(), { ...RULES, tail: "bucket" });
    expect(row(bucket, 0)).toEqual(row(dropped, 0));
    expect(bucket.tail![0]).toBeCloseTo(1 - stored(0.5) - stored(0.25), 6);
  });

  test("pivot spreads the rest over what the pivot stores elsewhere, and the pivot's own tail is the bucket's", () => {
    const targets = buildTargetDistributions(pairConversation(), { ...RULES, tail: "pivot", width: 5 });
    const [half, quarter] = [stored(0.5), stored(0.25)];
    // Row 0: the source says 4 and 1, the pivot 1 and 2; the pivot has 1 - half outside of 4 and 1, quarter of it on 2.
    const rest = 1 - half - quarter;
    const first = row(targets, 0, 5);
    expect(first[4]).toBeCloseTo(half, 6);
    expect(first[1]).toBeCloseTo(quarter, 6);
    expect(first[2]).toBeCloseTo((rest * quarter) / (1 - half), 6);
    expect(targets.tail![0]).toBeCloseTo((rest * (1 - half - quarter)) / (1 - half), 6);
    // Nothing is lost: all of it adds up to one.
    expect(Object.values(first).reduce((a, b) => a + b, targets.tail![0]!)).toBeCloseTo(1, 6);
  });

  test("unshared rows, and rows whose mass found no place, get the label", () => {
    for (const tail of TAILS) {
      const targets = buildTargetDistributions(pairConversation(), { ...RULES, tail });
      expect([1, 2, 3].map((r) => row(targets, r))).toEqual([{ 2: 1 }, { 3: 1 }, { 5: 1 }]);
      if (tail === "bucket") expect([...targets.tail!.subarray(1)]).toEqual([0, 0, 0]);
      expect([targets.sourceRows, targets.unsharedRows]).toEqual([1, 3]);
    }
  });

  test("unshared: skip leaves them empty, without a tail", () => {
    const targets = buildTargetDistributions(pairConversation(), { ...RULES, unshared: "skip", tail: "bucket" });
    expect([1, 2, 3].map((r) => row(targets, r))).toEqual([{}, {}, {}]);
    expect([...targets.tail!.subarray(1)]).toEqual([0, 0, 0]);
  });

  test("unshared: pivot takes the pivot's distribution, less its ids without a token", () => {
    const targets = buildTargetDistributions(pairConversation(), { ...RULES, unshared: "pivot", tail: "bucket" });
    // Row 1 stores 0.5 on id 2 and 0.25 on id 7, which has no token: its mass joins the tail.
    expect(row(targets, 1)[2]).toBeCloseTo(stored(0.5), 6);
    expect(targets.tail![1]).toBeCloseTo(1 - stored(0.5), 6);
    // Row 2 has nothing but such ids.
    expect(row(targets, 2)).toEqual({});
    expect(targets.tail![2]).toBe(0);
    expect(row(targets, 3)[5]).toBeCloseTo(stored(0.5), 6);
  });
});

describe("the pivot is chosen", () => {
  const pair = pairConversation(alignedShard(6.5));

  test("on a tie, with its own distribution on every row", () => {
    const targets = buildTargetDistributions(pair, RULES);
    expect(row(targets, 0)[1]).toBeCloseTo(stored(0.5) / (stored(0.5) + stored(0.25)), 6);
    expect(row(targets, 1)).toEqual({ 2: 1 });
    expect([targets.sourceRows, targets.unsharedRows]).toEqual([0, 0]);
  });

  test("a row of ids without tokens falls back to the label, or to nothing", () => {
    expect(row(buildTargetDistributions(pair, RULES), 2)).toEqual({ 3: 1 });
    expect(row(buildTargetDistributions(pair, { ...RULES, unshared: "skip" }), 2)).toEqual({});
  });
});

describe("min-ce", () => {
  test("compares nats per byte, not sums", () => {
    const cut = { ...alignedShard(6.4), sourceBytes: Int32Array.of(4) };
    expect(conversationShares(pairConversation(cut), RULES)).toEqual([1, 0]);
    expect(conversationShares(pairConversation(alignedShard(6.4)), RULES)).toEqual([0, 1]);
  });

  test("a conversation that the source has not read is the pivot's", () => {
    const refused = { ...alignedShard(0), sourceBytes: Int32Array.of(0) };
    expect(conversationShares(pairConversation(refused), RULES)).toEqual([1, 0]);
  });

  test("by row it compares labels of the same bytes only, and a tie goes to the pivot", () => {
    const pair = pairConversation();
    // Row 0: -0.9 against -1; rows 1 and 2 are not shared; the end of turn: -0.25 against -0.5.
    expect([0, 1, 2, 3].map((r) => rowShares(pair, r, minCe)[1])).toEqual([1, 0, 0, 1]);
    const { shard } = pair.sources[0]!.own!;
    shard.byteEnd[0] = 1;
    expect(rowShares(pair, 0, minCe)).toEqual([1, 0]);
    shard.byteEnd[0] = 2;
    shard.labelLogp[0] = -1;
    expect(rowShares(pair, 0, minCe)).toEqual([1, 0]);
  });

  test("by row, what is not shared is the pivot's and what has no place is unshared", () => {
    const targets = buildTargetDistributions(pairConversation(), { ...RULES, level: "row" });
    expect([targets.sourceRows, targets.unsharedRows]).toEqual([1, 1]);
    expect(Object.keys(row(targets, 0))).toEqual(["1", "4"]);
    expect(row(targets, 1)).toEqual({ 2: 1 });
    expect(row(targets, 3)).toEqual({ 5: 1 });
  });
});

test("a function that blends adds up masses that meet on one id", () => {
  const quarter: FusionFunction = { ...minCe, blends: true, shares: () => [0.75, 0.25] };
  const targets = buildTargetDistributions(pairConversation(), {
    ...RULES,
    function: quarter,
    tail: "bucket",
    width: 5,
  });
  const first = row(targets, 0, 5);
  expect(first[1]).toBeCloseTo(0.75 * stored(0.5) + 0.25 * stored(0.25), 6);
  expect(first[2]).toBeCloseTo(0.75 * stored(0.25), 6);
  expect(first[4]).toBeCloseTo(0.25 * stored(0.5), 6);
  expect(targets.tail![0]).toBeCloseTo(1 - stored(0.5) - stored(0.25), 6);
  // An unshared row blends the pivot's distribution with the label.
  expect(row(targets, 1, 5)[2]).toBeCloseTo(0.75 * stored(0.5) + 0.25, 6);
});

describe("a target of several sources", () => {
  /** The second source says 0.5 on id 2 and 0.25 on id 3 in the first row, and shares no other. */
  const second = (nats: number) => ({
    ...alignedShard(nats),
    sourceRow: Int32Array.of(0, -1, -1, -1),
    topId: Uint16Array.of(2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  });
  const both = (first: number, other: number): PairConversation => {
    const pair = pairConversation(alignedShard(first));
    return { ...pair, sources: [...pair.sources, { aligned: { shard: second(other), place: 0 }, own: null }] };
  };

  test("min-ce takes the cheapest of all models, the pivot first and then the first source on a tie", () => {
    expect(conversationShares(both(3.65, 3), RULES)).toEqual([0, 0, 1]);
    expect(conversationShares(both(3, 3), RULES)).toEqual([0, 1, 0]);
    expect(conversationShares(both(6.5, 6.5), RULES)).toEqual([1, 0, 0]);
    const targets = buildTargetDistributions(both(3.65, 3), RULES);
    expect(Object.keys(row(targets, 0))).toEqual(["2", "3"]);
    expect([targets.sourceRows, targets.unsharedRows, targets.rowsOfSource]).toEqual([1, 3, [0, 1]]);
  });

  test("avg-ce adds up what all of them say, by exp(-nats per token of the pivot), in float64", () => {
    const pair = both(3.65, 3);
    const shares = conversationShares(pair, { function: avgCe, record: null });
    // Four rows and five bytes: the nats of each are divided by the rows.
    const weights = [6.5, Math.fround(3.65), 3].map((nats) => Math.exp(-nats / 4));
    const sum = weights.reduce((a, b) => a + b);
    for (const [index, weight] of weights.entries()) expect(shares[index]).toBeCloseTo(weight / sum, 14);
    const targets = buildTargetDistributions(pair, { ...RULES, function: avgCe, width: 8 });
    const [half, quarter] = [stored(0.5), stored(0.25)];
    const two = [half / (half + quarter), quarter / (half + quarter)] as const;
    const first = row(targets, 0, 8);
    expect(first[1]).toBeCloseTo(shares[0]! * two[0] + shares[1]! * two[1], 6);
    expect(first[2]).toBeCloseTo(shares[0]! * two[1] + shares[2]! * two[0], 6);
    expect(first[3]).toBeCloseTo(shares[2]! * two[1], 6);
    expect(first[4]).toBeCloseTo(shares[1]! * two[0], 6);
    // Rows that no source shares: the pivot's part, and the label's for theirs.
    expect(row(targets, 1, 8)[2]).toBeCloseTo(1, 6);
  });

  test("what one of them has nothing to say of is said by the others, or by what unshared says", () => {
    const shares: FusionFunction = { ...avgCe, shares: () => [0, 0.5, 0.5] };
    const rules = { ...RULES, function: shares, width: 8 };
    const pair = both(3.65, 3);
    pair.sources[0]!.aligned.shard.sourceRow[0] = -1;
    const [half, quarter] = [stored(0.5), stored(0.25)];
    const share = half / (half + quarter);
    expect(row(buildTargetDistributions(pair, rules), 0, 8)[1]).toBeCloseTo(0.5, 6);
    expect(row(buildTargetDistributions(pair, rules), 0, 8)[2]).toBeCloseTo(0.5 * share, 6);
    const skipped = buildTargetDistributions(pair, { ...rules, unshared: "skip" });
    expect(row(skipped, 0, 8)[2]).toBeCloseTo(share, 6);
    expect(row(skipped, 1, 8)).toEqual({});
    const pivots = buildTargetDistributions(pair, { ...rules, unshared: "pivot" });
    expect(row(pivots, 0, 8)[1]).toBeCloseTo(0.5 * share, 6);
  });

  test("by group the record of conversations like it decides, not its own nats", () => {
    const record = { nats: () => [0.5, 0.7, 0.4] };
    expect(conversationShares(both(0.1, 9), { function: minCe, record })).toEqual([0, 0, 1]);
    const pair = both(0.1, 9);
    pair.sources[1]!.aligned.shard.sourceBytes[0] = 0;
    expect(conversationShares(pair, { function: minCe, record })).toEqual([1, 0, 0]);
  });
});

test("without a source all targets are empty", () => {
  const targets = buildTargetDistributions(pairConversation(null), { ...RULES, width: 1 });
  expect([...targets.probability]).toEqual([0, 0, 0, 0]);
  expect(targets.tail).toBeNull();
});

describe("golden pipeline", () => {
  const golden = resolve(import.meta.dirname, "../golden/pipeline");

  for (const name of ["qwen2", "gemma2"]) {
    test(`the choice by row is the reference's: ${name}`, async () => {
      const pair = await readPair({
        pivot: resolve(golden, "distributions/mistral"),
        aligned: resolve(golden, "aligned", name),
        source: resolve(golden, "distributions", name),
        level: "row",
      });
      const { tensors } = await readSafetensors(resolve(golden, "aligned", name, "reference.safetensors"));
      const found = pair.conversations.flatMap((conversation: PairConversation) => {
        const { first, rows } = conversation.pivot;
        return Array.from({ length: rows }, (_, r) => rowShares(conversation, first + r, minCe)[1]!);
      });
      expect(found).toEqual(Array.from(tensors.get("row_choice")!.data, Number));
      expect(found.reduce((a, b) => a + b, 0)).toBeGreaterThan(0);
    });
  }

  test("every renormalised target sums to one, whichever model it comes from", async () => {
    const pair = await readPair({
      pivot: resolve(golden, "distributions/mistral"),
      aligned: resolve(golden, "aligned/qwen2"),
      level: "conversation",
    });
    const hasToken = new Uint8Array(pair.metadata.vocabulary).fill(1);
    let rows = 0;
    for (const conversation of pair.conversations) {
      const { probability } = buildTargetDistributions(conversation, { ...RULES, hasToken, width: 10 });
      for (let at = 0; at < probability.length; at += 10, rows++) {
        const sum = probability.subarray(at, at + 10).reduce((a, b) => a + b, 0);
        expect(Math.abs(sum - 1)).toBeLessThan(1e-6);
      }
    }
    expect(rows).toBe(367);
  });
});
