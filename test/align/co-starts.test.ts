import { expect, test } from "vitest";
import { createCoStartCounter } from "#src/align/co-starts.js";
import { createRandom } from "#src/random.js";

test("counts are those of a plain table, sources and pivots ascending, through several growths", () => {
  const random = createRandom("co-starts");
  const counter = createCoStartCounter();
  const naive = new Map<string, number>();
  const sources = 3000;
  for (let i = 0; i < 60_000; i++) {
    // Squares crowd small ids, as words do.
    const source = Math.floor(sources * random.next() ** 2);
    const pivot = Math.floor(150_000 * random.next() ** 2);
    counter.add(source, pivot);
    naive.set(`${source} ${pivot}`, (naive.get(`${source} ${pivot}`) ?? 0) + 1);
  }
  const { start, pivot, count } = counter.counts(sources);
  expect(start).toHaveLength(sources + 1);
  expect(start[sources]).toBe(naive.size);
  const wrong: string[] = [];
  for (let s = 0; s < sources; s++) {
    for (let e = start[s]!; e < start[s + 1]!; e++) {
      const ascends = e === start[s] || pivot[e]! > pivot[e - 1]!;
      if (naive.get(`${s} ${pivot[e]}`) !== count[e] || !ascends) wrong.push(`${s} ${pivot[e]}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("nothing counted is an empty row for every source", () => {
  const { start, pivot } = createCoStartCounter().counts(3);
  expect([Array.from(start), pivot.length]).toEqual([[0, 0, 0, 0], 0]);
});
