/** Attention to kept keys: against a plain loop in double precision, and against causal attention over everything. */

import { expect, test } from "vitest";
import { createGraph, input, output } from "#src/graph/graph.js";
import { lowerGraph } from "#src/graph/lower.js";
import type { AttentionOptions } from "#src/graph/ops/attention.js";
import { cachedAttention, headsFirst, newPositions } from "#src/graph/ops/cached-attention.js";
import { rotary, rotaryAt } from "#src/graph/ops/rotary.js";
import { normal } from "./finite-differences.ts";
import { type Feed, runGraph } from "./run-graph.ts";

const BATCH = 3;
const HEAD_SIZE = 4;
/** The runtime keeps the factor of a product in single precision, in double ones too; this one is exact there. */
const SCALE = 0.75;

interface Case {
  readonly length: number;
  readonly capacity: number;
  readonly filled: readonly number[];
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly window: number | null;
  readonly cap: number | null;
}

const plain: Case = {
  length: 1,
  capacity: 8,
  filled: [5, 0, 8],
  heads: 2,
  keyValueHeads: 2,
  window: null,
  cap: null,
};

const CASES: readonly (readonly [string, Case])[] = [
  ["one new position after five, none and a full cache", plain],
  ["query heads share key heads", { ...plain, heads: 6, keyValueHeads: 2 }],
  ["a window ends among the kept positions", { ...plain, window: 3 }],
  ["a window of the new position alone", { ...plain, window: 1 }],
  ["a window longer than everything", { ...plain, window: 20 }],
  ["products are capped", { ...plain, cap: 1.5, heads: 4 }],
  ["several new positions", { ...plain, length: 5, heads: 4 }],
  ["several new positions under a window that ends among them", { ...plain, length: 5, window: 3 }],
  ["several new positions under a window that ends among the kept", { ...plain, length: 3, window: 6, cap: 2 }],
];

for (const [name, shape] of CASES) {
  for (const [float, tolerance] of [
    ["float64", 1e-12],
    ["float32", 1e-5],
  ] as const) {
    test(`attention where ${name} equals a plain loop in ${float}`, async () => {
      const { length, capacity, heads, keyValueHeads, filled } = shape;
      const options = { batch: BATCH, headSize: HEAD_SIZE, scale: SCALE, ...shape };
      const array = (role: string, count: number): Float64Array | Float32Array => {
        const values = normal(`${name}/${role}`, count);
        return float === "float32" ? Float32Array.from(values) : values;
      };
      const rows = BATCH * length;
      const kept = [BATCH * keyValueHeads, capacity, HEAD_SIZE];
      const feeds: Record<string, Feed> = {
        query: [array("query", rows * heads * HEAD_SIZE), [rows, heads * HEAD_SIZE]],
        key: [array("key", rows * keyValueHeads * HEAD_SIZE), [rows, keyValueHeads * HEAD_SIZE]],
        value: [array("value", rows * keyValueHeads * HEAD_SIZE), [rows, keyValueHeads * HEAD_SIZE]],
        keptKey: [array("kept key", BATCH * keyValueHeads * capacity * HEAD_SIZE), kept],
        keptValue: [array("kept value", BATCH * keyValueHeads * capacity * HEAD_SIZE), kept],
        filled: [Int32Array.from(filled), [BATCH]],
      };
      const graph = createGraph();
      const given = Object.fromEntries(
        Object.entries(feeds).map(([role, [, size]]) => [
          role,
          input(graph, role, size, role === "filled" ? "int32" : "float"),
        ]),
      );
      const past = { key: given.keptKey!, value: given.keptValue!, filled: given.filled! };
      const [key, value] = [given.key!, given.value!].map((projected) => headsFirst(projected, options));
      output(graph, "out", cachedAttention(given.query!, key!, value!, past, options));
      const found = (await runGraph(lowerGraph(graph, float), feeds)).out!;
      const expected = plainAttention(feeds, options, filled);
      let difference = 0;
      expected.forEach((entry, place) => {
        difference = Math.max(difference, Math.abs(entry - found[place]!));
      });
      expect(difference).toBeLessThan(tolerance);
    });
  }
}

/** What each new position of each head sees, one key after the other; unfilled places hold numbers that must not count. */
function plainAttention(
  feeds: Readonly<Record<string, Feed>>,
  options: AttentionOptions & { readonly capacity: number },
  filled: readonly number[],
): Float64Array {
  const { length, heads, keyValueHeads, headSize, capacity, scale, window, cap } = options;
  const out = new Float64Array(feeds.query![0].length);
  filled.forEach((count, b) => {
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor(head / (heads / keyValueHeads));
      /** The key or value at a position of the sequence, kept or new. */
      const vector = (role: "key" | "value", position: number): ArrayLike<number> => {
        const [data, start] =
          position < count
            ? [
                feeds[role === "key" ? "keptKey" : "keptValue"]![0],
                ((b * keyValueHeads + shared) * capacity + position) * headSize,
              ]
            : [feeds[role]![0], ((b * length + position - count) * keyValueHeads + shared) * headSize];
        return data.subarray(start, start + headSize);
      };
      for (let t = 0; t < length; t++) {
        const from = ((b * length + t) * heads + head) * headSize;
        const query = Array.from(feeds.query![0].subarray(from, from + headSize));
        const self = count + t;
        const seen = Array.from({ length: self + 1 }, (_, position) => position).filter(
          (position) => window === null || position > self - window,
        );
        const weights = seen.map((position) => {
          const key = vector("key", position);
          const product = scale * query.reduce((total, entry, j) => total + entry * key[j]!, 0);
          return Math.exp(cap === null ? product : cap * Math.tanh(product / cap));
        });
        const total = weights.reduce((a, b_) => a + b_);
        weights.forEach((weight, index) => {
          const value = vector("value", seen[index]!);
          for (let j = 0; j < headSize; j++) out[from + j]! += (weight / total) * value[j]!;
        });
      }
    }
  });
  return out;
}

test.each([
  ["float32", 6, false],
  ["float64", 6, false],
  ["float32", 4, true],
  ["float64", 4, true],
] as const)(
  "new positions turn as they would in the whole sequence in %s, %i entries of a head, neighbours: %s",
  async (float, turned, isInterleaved) => {
    const [batch, length, longest, headSize, heads] = [3, 2, 9, 6, 2];
    const width = heads * headSize;
    const whole = normal("whole", batch * longest * width);
    const filled = Int32Array.of(0, 7, 4);
    const part = new Float64Array(batch * length * width);
    filled.forEach((start, b) => {
      part.set(
        whole.subarray((b * longest + start) * width, (b * longest + start + length) * width),
        b * length * width,
      );
    });
    const angles = normal("angles", (longest * turned) / 2);
    const tables = {
      cosine: () => angles.map(Math.cos),
      sine: () => angles.map(Math.sin),
      headSize,
      turned,
      isInterleaved,
      length: longest,
      key: "x",
    };
    const graph = createGraph();
    output(graph, "whole", rotary(input(graph, "x", [batch * longest, width], "float"), tables));
    const positions = newPositions(input(graph, "filled", [batch], "int32"), length);
    output(graph, "part", rotaryAt(input(graph, "y", [batch * length, width], "float"), tables, positions));
    const convert = (values: Float64Array) => (float === "float32" ? Float32Array.from(values) : values);
    const found = await runGraph(lowerGraph(graph, float), {
      x: [convert(whole), [batch * longest, width]],
      y: [convert(part), [batch * length, width]],
      filled: [filled, [batch]],
    });
    filled.forEach((start, b) => {
      const expected = found.whole!.subarray((b * longest + start) * width, (b * longest + start + length) * width);
      expect(found.part!.subarray(b * length * width, (b + 1) * length * width)).toEqual(expected);
    });
  },
);
