/**
 * No foreign name is looked up in an object literal, and no foreign value is made a text by its own methods: `constructor`
 * and `toString` are names of every literal, and `{"toString": 1}` is JSON. `src/table.ts` and `src/excerpt.ts` are for that.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { expect, test } from "vitest";
import { emptyTable, tableOf } from "#src/table.js";

const source = resolve(import.meta.dirname, "../src");

function linesOf(isWrong: RegExp): string[] {
  return readdirSync(source, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(source, name))
    .sort()
    .flatMap((file) =>
      readFileSync(file, "utf8")
        .split("\n")
        .flatMap((line, index) =>
          isWrong.test(line) ? [`${relative(source, file)}:${index + 1}: ${line.trim()}`] : [],
        ),
    );
}

test("tables by name are made with tableOf and emptyTable", () => {
  const literals = linesOf(/const \w+: (Readonly<)?(Partial<)?Record<string,.*= \{/);
  expect(literals).toEqual([]);
});

test("a caught value is told by reasonOf", () => {
  expect(linesOf(/error instanceof Error \? error\.message : String\(error\)/)).toEqual([]);
});

test("a table has the names that were put into it, and no others", () => {
  const table = tableOf({ a: 1 });
  expect(["a", "constructor", "toString", "__proto__"].map((name) => table[name])).toEqual([
    1,
    undefined,
    undefined,
    undefined,
  ]);
  const filled = emptyTable<number>();
  filled[["__proto__"].join()] = 2;
  expect(Object.entries(filled)).toEqual([["__proto__", 2]]);
});
