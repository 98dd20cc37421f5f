import { expect, test } from "vitest";
import { addBlock, createTotals, normalise } from "#src/engine/onnx/streamed/totals.js";
import { createRandom } from "#src/random.js";

/** Adds logits [rows][vocabulary] in blocks of `size` ids. */
function combine(logits: readonly (readonly number[])[], labels: readonly number[], topK: number, size: number) {
  const totals = createTotals(logits.length, topK);
  for (let first = 0; first < logits[0]!.length; first += size) {
    const rows = logits.map((row) => row.slice(first, first + size));
    const kept = Math.min(topK, rows[0]!.length);
    const top = rows.map((row) => [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, kept));
    addBlock(totals, Int32Array.from(labels), 0, {
      first,
      size: rows[0]!.length,
      kept,
      logSum: Float32Array.from(rows, (row) => Math.log(row.reduce((sum, z) => sum + Math.exp(z), 0))),
      labelLogit: Float32Array.from(rows, (row, n) => row[labels[n]! - first] ?? 99),
      topId: Int32Array.from(top.flat()),
      topLogit: Float32Array.from(top.flatMap((ids, n) => ids.map((id) => rows[n]![id]!))),
    });
  }
  return normalise(totals);
}

const random = createRandom("totals");
// Few different values, so that there are many ties.
const logits = Array.from({ length: 6 }, () => Array.from({ length: 23 }, () => random.integer(5) - 2));
const labels = [0, 22, 7, 8, 15, 3];

test.each([1, 4, 7, 22])("blocks of %i ids give the distributions of one block of all", (size) => {
  const whole = combine(logits, labels, 9, 23);
  const parts = combine(logits, labels, 9, size);
  expect(parts.topId).toEqual(whole.topId);
  for (const [name, values] of [["labelLogp", parts.labelLogp] as const, ["topLogp", parts.topLogp] as const]) {
    // Sums of exponentials were rounded to single precision block by block.
    values.forEach((value, i) => {
      expect(value).toBeCloseTo(whole[name][i]!, 5);
    });
  }
});

test("of equal logits the lower id comes first", () => {
  expect([...combine([[1, 3, 3, 0, 3, 3]], [0], 3, 2).topId]).toEqual([1, 2, 4]);
});

test("a NaN anywhere in a row reaches its label's probability", () => {
  const broken = logits.map((row, n) => (n === 2 ? row.with(20, Number.NaN) : row));
  const { labelLogp } = combine(broken, labels, 3, 5);
  expect([...labelLogp].map(Number.isNaN)).toEqual([false, false, true, false, false, false]);
});

test("logits far below the largest vanish instead of overflowing", () => {
  const { labelLogp, topLogp } = combine([[-1e4, 80, 80, -80]], [1], 4, 1);
  expect(labelLogp[0]).toBeCloseTo(-Math.LN2, 5);
  expect(topLogp[2]).toBeCloseTo(-160 - Math.LN2, 4);
});
