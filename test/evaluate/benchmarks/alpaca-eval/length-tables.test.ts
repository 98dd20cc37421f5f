/** The two tables of length control: read, and refused with the line where they are broken. */
import { rm } from "node:fs/promises";
import { afterEach, describe, expect, test } from "vitest";
import { type LengthTables, readLengthTables } from "#src/evaluate/benchmarks/alpaca-eval/length-tables.js";
import { COUNT, DIFFICULTY, DIFFICULTY_TABLE, filesIn, GAMED_TABLE } from "./files.ts";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function read(difficulty: string | Uint8Array, gamed: string | Uint8Array): Promise<LengthTables> {
  const files = await filesIn({ difficulty, gamed });
  folders.push(files.folder);
  return readLengthTables(files.difficulty, files.gamed);
}

/** With line `number` (from 1) changed. */
function changed(table: string, number: number, change: (line: string) => string): string {
  return table
    .split("\n")
    .map((line, at) => (at === number - 1 ? change(line) : line))
    .join("\n");
}

test("tables are read in their own order, whatever the order of columns and the ends of lines", async () => {
  const turned = DIFFICULTY_TABLE.split("\n")
    .map((line) => line.split(",").reverse().join(","))
    .join("\r\n");
  const { difficulty, gamed, gamedModels } = await read(turned, GAMED_TABLE);
  expect([...difficulty]).toEqual(DIFFICULTY);
  expect(gamed.map(({ index }) => index)).toEqual([...Array(COUNT).keys(), ...Array(COUNT).keys()]);
  expect(gamedModels).toBe(2);
  expect(gamed[0]!.lengthDifference).toBe(1);
});

describe("a broken table is refused with its line", () => {
  const cases: [string, string | Uint8Array, string | Uint8Array, RegExp][] = [
    [
      "another file",
      "a,b\n1,2\n",
      GAMED_TABLE,
      /difficulty\.json:1: expected the columns index, instruction_difficulty;/,
    ],
    ["a table of its names alone", "index,instruction_difficulty\n", GAMED_TABLE, /expected rows below the names/],
    [
      "a column missing",
      DIFFICULTY_TABLE,
      changed(GAMED_TABLE, 1, (line) => line.replace("std_delta_len", "delta")),
      /gamed\.json:1: expected the columns .*; std_delta_len not found/,
    ],
    [
      "a row cut short",
      changed(DIFFICULTY_TABLE, 4, () => "2"),
      GAMED_TABLE,
      /difficulty\.json:4: expected 2 fields, found 1/,
    ],
    [
      "no number",
      changed(DIFFICULTY_TABLE, 4, () => "2,NaN"),
      GAMED_TABLE,
      /difficulty\.json:4: expected a number for instruction_difficulty, found "NaN"/,
    ],
    [
      "nothing where a number should be",
      DIFFICULTY_TABLE,
      changed(GAMED_TABLE, 3, (line) => line.replace(/^[^,]+/, "")),
      /gamed\.json:3: expected a number for preference, found ""/,
    ],
    [
      "a preference of another scale",
      DIFFICULTY_TABLE,
      changed(GAMED_TABLE, 3, (line) => line.replace(/^[^,]+/, "1.7")),
      /gamed\.json:3: expected a preference from 0 to 1, found 1\.7/,
    ],
    [
      "an instruction that the other table does not have",
      DIFFICULTY_TABLE,
      changed(GAMED_TABLE, 3, (line) => line.replace(",1,", ",12,")),
      /gamed\.json:3: expected an index from 0 to 11, found "12"/,
    ],
    [
      "rows in another order",
      changed(DIFFICULTY_TABLE, 4, (line) => line.replace(/^2/, "3")),
      GAMED_TABLE,
      /difficulty\.json:4: expected index 2, found 3/,
    ],
    [
      "tables of two benchmarks",
      changed(DIFFICULTY_TABLE, 3, () => "1,0.25"),
      GAMED_TABLE,
      /gamed\.json:3: instruction 1 has difficulty 0\.54\d* here and 0\.25 in .*; the two files are not of one benchmark/,
    ],
    [
      "a row twice",
      DIFFICULTY_TABLE,
      `${GAMED_TABLE}${GAMED_TABLE.split("\n")[1]}\n`,
      /gamed\.json:26: the row of concise and index 0 comes twice/,
    ],
    [
      "a row of the model itself",
      DIFFICULTY_TABLE,
      changed(GAMED_TABLE, 2, (line) => line.replace("False", "True")),
      /gamed\.json:2: expected not_gamed_baseline to be False, found "True"/,
    ],
    [
      "other bytes than UTF-8",
      Uint8Array.of(0x69, 0xff),
      GAMED_TABLE,
      /expected UTF-8 text, found other bytes at offset 1/,
    ],
  ];
  test.each(cases)("%s", async (_, difficulty, gamed, message) => {
    await expect(read(difficulty, gamed)).rejects.toThrow(message);
  });
});
