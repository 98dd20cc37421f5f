import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RowSpans } from "#src/align/sequence.js";
import { alignBytes } from "#src/align/sequences/bytes.js";
import { findSequence } from "#src/align/sequences/index.js";

/** Rows as [turn, start, end], an end of turn as [turn, start, "end"]. */
type Row = readonly [number, number, number | "end"];

function spans(rows: readonly Row[]): RowSpans {
  return {
    turn: Uint16Array.from(rows, ([turn]) => turn),
    byteStart: Int32Array.from(rows, ([, start]) => start),
    byteEnd: Int32Array.from(rows, ([, start, end]) => (end === "end" ? start : end)),
    endOfTurn: Uint8Array.from(rows, ([, , end]) => (end === "end" ? 1 : 0)),
    token: new Uint16Array(rows.length),
    bytes: () => new Uint8Array(0),
  };
}

function align(pivot: readonly Row[], source: readonly Row[]): number[] {
  const out = new Int32Array(pivot.length).fill(-7);
  const shared = alignBytes(spans(pivot), 0, pivot.length, spans(source), 0, source.length, out);
  expect(shared).toBe(out.filter((row) => row >= 0).length);
  return Array.from(out);
}

describe("byte alignment", () => {
  test("pairs equal starts whatever the ends: 2 0 2 4 against 2024", () => {
    const pivot: Row[] = [
      [1, 0, 1],
      [1, 1, 2],
      [1, 2, 3],
      [1, 3, 4],
      [1, 4, "end"],
    ];
    const source: Row[] = [
      [1, 0, 4],
      [1, 4, "end"],
    ];
    expect(align(pivot, source)).toEqual([0, -1, -1, -1, 1]);
    expect(align(source, pivot)).toEqual([0, 4]);
  });

  test("is not misled by an equal sentence that is cut differently", () => {
    const pivot: Row[] = [
      [1, 0, 3],
      [1, 3, 6],
      [1, 6, 9],
      [1, 9, 12],
    ];
    const source: Row[] = [
      [1, 0, 3],
      [1, 3, 5],
      [1, 5, 6],
      [1, 6, 12],
    ];
    expect(align(pivot, source)).toEqual([0, 1, 3, -1]);
  });

  test("gives empty spans no partner, except end of turn to end of turn", () => {
    // A dummy prefix before the response and the empty rest of a changed cluster within it.
    const pivot: Row[] = [
      [1, 0, 0],
      [1, 0, 2],
      [1, 2, 2],
      [1, 2, 3],
      [1, 3, "end"],
    ];
    const source: Row[] = [
      [1, 0, 0],
      [1, 0, 2],
      [1, 2, 3],
      [1, 3, 3],
      [1, 3, "end"],
    ];
    expect(align(pivot, source)).toEqual([-1, 1, -1, 2, 4]);
  });

  test("pairs ends of turn by role where only one model reads trailing white space", () => {
    expect(
      align(
        [
          [1, 0, 3],
          [1, 3, 5],
          [1, 5, "end"],
        ],
        [
          [1, 0, 3],
          [1, 5, "end"],
        ],
      ),
    ).toEqual([0, -1, 1]);
    expect(
      align(
        [
          [1, 0, 3],
          [1, 5, "end"],
        ],
        [
          [1, 0, 3],
          [1, 3, 5],
          [1, 5, "end"],
        ],
      ),
    ).toEqual([0, 2]);
  });

  test("never pairs a token with an end of turn at the same byte, nor one turn with another", () => {
    expect(
      align(
        [
          [1, 0, 2],
          [1, 2, 4],
        ],
        [
          [1, 0, 2],
          [1, 2, "end"],
        ],
      ),
    ).toEqual([0, -1]);
    expect(align([[1, 0, "end"]], [[1, 0, 2]])).toEqual([-1]);
    expect(
      align(
        [
          [1, 0, 2],
          [3, 0, 2],
          [3, 2, "end"],
        ],
        [
          [3, 0, 1],
          [3, 1, 2],
          [3, 2, "end"],
        ],
      ),
    ).toEqual([-1, 0, 2]);
    expect(
      align(
        [[3, 0, 2]],
        [
          [1, 0, 2],
          [1, 2, "end"],
          [3, 0, 2],
        ],
      ),
    ).toEqual([2]);
  });

  test("works on parts of longer lists and counts the source from its own beginning", () => {
    const rows = spans([
      [1, 0, 1],
      [1, 0, 2],
      [1, 2, 3],
      [1, 3, 4],
    ]);
    const out = new Int32Array(4).fill(-7);
    expect(alignBytes(rows, 1, 3, rows, 1, 4, out)).toBe(2);
    expect(Array.from(out)).toEqual([-7, 0, 1, -7]);
  });

  test("is the list of equal starts, for any two ways of cutting a text", () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 59 }));
    const rowsOf = (places: readonly number[]): Row[] => {
      const starts = [0, ...places.toSorted((a, b) => a - b)];
      return starts.map((start, i) => [1, start, starts[i + 1] ?? 60]);
    };
    fc.assert(
      fc.property(cuts, cuts, (a, b) => {
        const pivot = rowsOf(a);
        const source = rowsOf(b);
        const naive = pivot.map(([, start]) => source.findIndex(([, other]) => other === start));
        expect(align(pivot, source)).toEqual(naive);
      }),
    );
  });

  test("takes time in proportion to the rows: each source row is looked at a bounded number of times", () => {
    const rows = 20_000;
    let reads = 0;
    const base = spans(Array.from({ length: rows }, (_, i): Row => [1, 2 * i, 2 * i + 2]));
    // Every read of a start is counted, so that a quadratic walk shows without a clock.
    const byteStart = new Proxy(base.byteStart, {
      get: (target, key) => {
        reads++;
        return Reflect.get(target, key);
      },
    });
    const shifted = spans(Array.from({ length: rows }, (_, i): Row => [1, 2 * i + 1, 2 * i + 3]));
    const out = new Int32Array(rows);
    expect(alignBytes(shifted, 0, rows, { ...base, byteStart }, 0, rows, out)).toBe(0);
    expect(reads).toBeLessThan(6 * rows);
  });
});

test("an unknown sequence alignment is refused with a suggestion", () => {
  expect(findSequence("bytes").name).toBe("bytes");
  expect(() => findSequence("bites")).toThrow('align: unknown sequence alignment "bites"; did you mean "bytes"?');
  expect(() => findSequence("dtw-alignment")).toThrow(
    'unknown sequence alignment "dtw-alignment"; expected bytes, dynamic-programming',
  );
});
