import { describe, expect, test } from "vitest";
import { createLeadSwaps } from "#src/align/leads.js";
import type { Side } from "#src/align/paired-conversations.js";
import { rowSpans } from "#src/align/sequence.js";
import { readVocabulary } from "#src/align/vocabulary.js";
import { smallShard } from "../distributions/shard-fixture.ts";
import { toyTokenizer } from "./toy-tokenizer.ts";

const pivot = readVocabulary(toyTokenizer([":Yes", "Yes", " Yes", "No"]), 4);
const source = readVocabulary(toyTokenizer(["\nYes", "Yes", "\nNo", "\n", ":Maybe", "\nMaybe", "No"]), 7);

function side(token: number, lead: number): Side {
  const shard = { ...smallShard(), token: Uint16Array.of(token), lead: Uint8Array.of(lead) };
  return { path: "shard", shard, spans: rowSpans(shard, pivot) };
}

describe("rows whose labels have different leads", () => {
  test("read every token of the source with the pivot's lead in place of its own", () => {
    const swaps = createLeadSwaps(pivot, source);
    const swap = swaps.between(side(0, 1), 0, side(0, 1), 0)!;
    const texts = [0, 1, 2, 3, 5].map((id) => swap.textOf(id));
    expect(texts).toEqual([0, -1, 1, 2, 3]);
    expect(swaps.texts.map((bytes) => Buffer.from(bytes).toString())).toEqual([":Yes", ":No", ":", ":Maybe"]);
  });

  test("may gain a lead or lose one; what is nothing but the lead has no text", () => {
    const swaps = createLeadSwaps(pivot, source);
    const gain = swaps.between(side(2, 1), 0, side(1, 0), 0)!;
    expect(Buffer.from(swaps.texts[gain.textOf(6)]!).toString()).toBe(" No");
    const loss = swaps.between(side(1, 0), 0, side(0, 1), 0)!;
    expect(Buffer.from(swaps.texts[loss.textOf(2)]!).toString()).toBe("No");
    expect(loss.textOf(3)).toBe(-1);
    expect(loss.textOf(6)).toBe(-1);
  });

  test("are not those with the same lead, whatever their tokens", () => {
    const swaps = createLeadSwaps(source, source);
    expect(swaps.between(side(1, 0), 0, side(6, 0), 0)).toBeNull();
    expect(swaps.between(side(0, 1), 0, side(2, 1), 0)).toBeNull();
    expect(swaps.between(side(0, 1), 0, side(4, 1), 0)).not.toBeNull();
  });

  test("become the texts that are known, where they are", () => {
    const known = [Buffer.from(":Maybe"), Buffer.from("?"), Buffer.from(":No")];
    const swap = createLeadSwaps(pivot, source, known).between(side(0, 1), 0, side(0, 1), 0)!;
    expect([0, 2, 5].map((id) => swap.textOf(id))).toEqual([3, 2, 0]);
  });

  test("cannot have a lead longer than the label", () => {
    const swaps = createLeadSwaps(pivot, source);
    expect(() => swaps.between(side(3, 3), 0, side(1, 0), 0)).toThrow(
      'shard: tensor "lead": row 0 has a lead of 3 bytes, its token 3 has 2',
    );
  });
});
