import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RowSpans } from "#src/align/sequence.js";
import { alignBytes } from "#src/align/sequences/bytes.js";
import { alignByWarping } from "#src/align/sequences/dynamic-programming.js";
import { naiveDistance } from "../naive-distance.ts";
import { slowWarping } from "./slow-warping.ts";

const utf8 = new TextEncoder();
const END = "</s>";

/** The rows of responses, each a list of pieces that `END` may close; turns are 1, 3, 5 … */
function responses(...turns: readonly (readonly string[])[]): RowSpans {
  const spelling: string[] = [];
  const rows = turns.flatMap((pieces, index) => {
    let at = 0;
    return pieces.map((piece) => {
      if (!spelling.includes(piece)) spelling.push(piece);
      const start = at;
      if (piece !== END) at += utf8.encode(piece).length;
      return { turn: 2 * index + 1, start, end: at, token: spelling.indexOf(piece), ends: piece === END };
    });
  });
  const tokens = spelling.map((piece) => utf8.encode(piece === END ? "" : piece));
  return {
    turn: Uint16Array.from(rows, ({ turn }) => turn),
    byteStart: Int32Array.from(rows, ({ start }) => start),
    byteEnd: Int32Array.from(rows, ({ end }) => end),
    endOfTurn: Uint8Array.from(rows, ({ ends }) => (ends ? 1 : 0)),
    token: Uint16Array.from(rows, ({ token }) => token),
    bytes: (token) => tokens[token]!,
  };
}

function align(pivot: RowSpans, source: RowSpans, by = alignByWarping): number[] {
  const out = new Int32Array(pivot.turn.length).fill(-7);
  const shared = by(pivot, 0, pivot.turn.length, source, 0, source.turn.length, out);
  expect(shared).toBe(out.filter((row) => row >= 0).length);
  return Array.from(out);
}

const pieces = (text: string): string[] => text.split("|");

describe("alignment by warping", () => {
  test("gives the row after a token to the row after the token it is paired with", () => {
    expect(align(responses(pieces("The| cat| sat")), responses(pieces("The| cat| sat")))).toEqual([0, 1, 2]);
    // `inter` and `national` both meet `international`: only after the second have both models read the same.
    expect(align(responses(pieces("An| inter|national| team")), responses(pieces("An| international| team")))).toEqual([
      0, 1, -1, 2,
    ]);
    expect(align(responses(pieces("An| international| team")), responses(pieces("An| inter|national| team")))).toEqual([
      0, 1, 3,
    ]);
  });

  test("takes the piece that ends with the pivot's token, not the first that is a suffix of it", () => {
    expect(align(responses(pieces("aa|.")), responses(pieces("a|a|.")))).toEqual([0, 2]);
  });

  test("of 2 0 2 4 against 2024 has no row within the number", () => {
    const pivot = responses(pieces("in| |2|0|2|4|.|</s>"));
    const source = responses(pieces("in| |2024|.|</s>"));
    const found = align(pivot, source);
    expect(found).toEqual([0, 1, 2, -1, -1, -1, 3, 4]);
    expect(align(source, pivot)).toEqual([0, 1, 2, 6, 7]);
  });

  test("never misleads where the cheapest way is not the true one: antidisestablishment .", () => {
    // The full stop takes four of the source's pieces, so that the row before it finds no partner; none is wrong.
    const pivot = responses(pieces("antidisestablishment| .|</s>"));
    const source = responses(pieces("ant|idis|establish|ment| .|</s>"));
    expect(align(pivot, source, alignBytes)).toEqual([0, 4, 5]);
    expect(align(pivot, source)).toEqual([0, -1, 5]);
  });

  test("is not misled by a sentence that comes twice and is cut differently", () => {
    const pivot = responses(pieces("I| know|.| I| kn|ow|.| I| know|.|</s>"));
    const source = responses(pieces("I| kn|ow|.| I| know|.| I| kn|ow|.|</s>"));
    expect(align(pivot, source, alignBytes)).toEqual([0, 1, 3, 4, 5, -1, 6, 7, 8, 10, 11]);
    // It misses three rows after a word that is cut, and shifts none by one.
    expect(align(pivot, source)).toEqual([0, 1, -1, 4, 5, -1, -1, 7, 8, -1, 11]);
  });

  test("pairs ends of turn by role, and no turn with another", () => {
    expect(align(responses(["a", END], ["b", END]), responses(["a"], ["b", END]))).toEqual([0, -1, 1, 2]);
    expect(align(responses([END], ["b"]), responses([], ["b"]))).toEqual([-1, 0]);
    expect(align(responses([], ["b"]), responses(["a", END], ["b"]))).toEqual([2]);
  });

  test("leaves out what lies behind the end of a response that was cut", () => {
    expect(align(responses(pieces("a| b| c| d|</s>")), responses(pieces("a| b")))).toEqual([0, 1, -1, -1, -1]);
    expect(align(responses(pieces("a| b")), responses(pieces("a| b| c| d|</s>")))).toEqual([0, 1]);
  });

  test("gives empty spans no partner, a dummy prefix by itself either", () => {
    const plain = responses(pieces("1| b"));
    const prefixed: RowSpans = {
      ...responses(pieces("_|1| b")),
      byteStart: Int32Array.of(0, 0, 1),
      byteEnd: Int32Array.of(0, 1, 3),
    };
    expect(align(prefixed, plain)).toEqual([-1, 0, 1]);
    expect(align(plain, prefixed)).toEqual([1, 2]);
  });

  test("works on parts of longer lists and counts the source from its own beginning", () => {
    const rows = responses(pieces("a|b|c|d"));
    const out = new Int32Array(4).fill(-7);
    expect(alignByWarping(rows, 1, 3, rows, 1, 4, out)).toBe(2);
    expect(Array.from(out)).toEqual([-7, 0, 1, -7]);
  });

  test("is what the whole matrix gives, on random texts cut at random", () => {
    const word = fc.array(fc.constantFrom("a", "b", "ab", " ", "é"), { minLength: 1, maxLength: 4 });
    const text = fc.array(word, { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(text, fc.array(fc.boolean()), fc.array(fc.boolean()), (words, a, b) => {
        const letters = words.flat();
        const cut = (joins: readonly boolean[]): string[] => {
          const result: string[] = [];
          letters.forEach((letter, i) => {
            if (i > 0 && joins[i % Math.max(1, joins.length)]) result[result.length - 1] += letter;
            else result.push(letter);
          });
          return result;
        };
        const [pivot, source] = [cut(a), cut(b)];
        expect(align(responses(pivot), responses(source))).toEqual(slowAlignment(pivot, source));
      }),
      { numRuns: 500 },
    );
  });
});

/** The rule of the papers' cases on the path of the whole matrix. */
function slowAlignment(pivot: readonly string[], source: readonly string[]): number[] {
  const before = (list: readonly string[]) => ["", ...list].map((piece) => utf8.encode(piece));
  const [a, b] = [before(pivot), before(source)];
  const { pairs } = slowWarping(a.map((token) => b.map((other) => naiveDistance(token, other))));
  const end = (list: readonly Uint8Array[], last: number): number =>
    list.slice(0, last + 1).reduce((sum, token) => sum + token.length, 0);
  return pivot.map((_, row) => {
    const partner = pairs.find(([i, j]) => i === row && j < source.length && end(a, i) === end(b, j));
    return partner === undefined ? -1 : partner[1];
  });
}
