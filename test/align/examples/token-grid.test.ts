/** Two tokenisations over the same bytes. */
import { describe, expect, test } from "vitest";
import { tokenGrid } from "#src/align/examples/token-grid.js";

/** Spans between these boundaries. */
function spans(...boundaries: readonly number[]): { byte_start: number; byte_end: number }[] {
  return boundaries.slice(1).map((end, index) => ({ byte_start: boundaries[index]!, byte_end: end }));
}

/** `0*2 1` for token 0 over two columns, then token 1. */
function written(cells: readonly { readonly token: number; readonly columns: number }[]): string {
  return cells.map(({ token, columns }) => (columns === 1 ? `${token}` : `${token}*${columns}`)).join(" ");
}

function lines(pivot: ReturnType<typeof spans>, source: ReturnType<typeof spans>, bytes = 100): [string, string][] {
  return tokenGrid(pivot, source, bytes).map((line) => [written(line.pivot), written(line.source)]);
}

describe("a grid of tokens", () => {
  test("has a column between any two boundaries of either side", () => {
    expect(lines(spans(0, 3, 4, 8), spans(0, 1, 4, 8))).toEqual([["0*2 1 2", "0 1*2 2"]]);
  });

  test("gives tokens without bytes a column of their own, which both ends of turn share", () => {
    expect(lines(spans(0, 2, 2), spans(0, 1, 2, 2))).toEqual([["0*2 1", "0 1 2"]]);
    expect(lines(spans(0, 2, 2), spans(0, 2))).toEqual([["0 1", "0 -1"]]);
  });

  test("puts a token without bytes inside the other side's token under it", () => {
    expect(lines(spans(0, 4), spans(0, 2, 2, 4))).toEqual([["0*3", "0 1 2"]]);
  });

  test("is empty where a side has no token, and where neither has any", () => {
    expect(lines(spans(2, 4), spans(0, 3))).toEqual([["-1 0*2", "0*2 -1"]]);
    expect(lines([], [])).toEqual([]);
  });

  test("breaks lines where both sides have a boundary, and not before an end of turn", () => {
    expect(lines(spans(0, 4, 6, 9, 12), spans(0, 5, 9, 12), 4)).toEqual([
      ["0 1*2 2", "0*2 1*2"],
      ["3", "2"],
    ]);
    expect(lines(spans(0, 4, 4), spans(0, 4, 4), 4)).toEqual([["0 1", "0 1"]]);
  });

  test("breaks lines of many columns, however few bytes they are", () => {
    const single = spans(...Array.from({ length: 21 }, (_, i) => i));
    expect(tokenGrid(single, single, 100).map((line) => line.columns)).toEqual([14, 6]);
  });
});
