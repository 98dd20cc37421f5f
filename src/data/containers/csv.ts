/** CSV with named columns. Every cell is a text; an empty one says nothing. */
import { FusechatError, inputError } from "../../errors.ts";
import type { Container, Found } from "./container.ts";
import { CsvProblem, type CsvRow, CsvSplitter } from "./csv-splitter.ts";
import { LONGEST_RECORD_BYTES, TOO_LONG } from "./lines.ts";
import { type Source, textChunks } from "./source.ts";

export const csv: Container = {
  name: "CSV",
  summary:
    "cells between commas, quoted where needed, the names of the columns in the first line; an empty cell says nothing",
  suffixes: [".csv"],
  records: csvRecords,
};

async function* csvRecords(source: Source): AsyncGenerator<readonly Found[]> {
  let columns: readonly string[] | null = null;
  let number = 0;
  for await (const rows of rowsOf(source)) {
    const found: Found[] = [];
    for (const row of rows) {
      if (columns === null) {
        columns = columnsOf(row, source.path);
        continue;
      }
      number += 1;
      found.push(recordOf(columns, row, `: row ${number}`));
    }
    yield found;
  }
}

async function* rowsOf(source: Source): AsyncGenerator<readonly CsvRow[]> {
  const splitter = new CsvSplitter(LONGEST_RECORD_BYTES);
  try {
    for await (const text of decoded(source)) yield splitter.split(text);
    yield splitter.finish();
  } catch (error) {
    if (!(error instanceof CsvProblem)) throw error;
    throw inputError(source.path, `expected CSV, but it cannot be read: ${error.message}`, error);
  }
}

async function* decoded(source: Source): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    for await (const chunk of textChunks(source)) yield decoder.decode(chunk, { stream: true });
    yield decoder.decode();
  } catch (error) {
    if (error instanceof FusechatError) throw error;
    throw inputError(source.path, "expected UTF-8 text, found other bytes", error);
  }
}

function columnsOf(row: CsvRow, path: string): readonly string[] {
  if (row === null) throw inputError(path, TOO_LONG.sentence);
  const names = row.map((name) => name.trim());
  const seen = new Set<string>();
  const twice = names.find((name) => seen.size === seen.add(name).size);
  if (twice !== undefined) {
    throw inputError(path, `expected a name of its own for every column, found ${JSON.stringify(twice)} twice`);
  }
  return names;
}

function recordOf(columns: readonly string[], row: CsvRow, place: string): Found {
  if (row === null) return { place, problem: TOO_LONG };
  if (row.length !== columns.length) {
    const sentence = `expected a cell for each of the ${columns.length} columns, found ${row.length}`;
    return { place, problem: { reason: "with another number of cells than columns", sentence } };
  }
  return {
    place,
    record: Object.fromEntries(columns.map((name, index) => [name, row[index] === "" ? null : row[index]])),
  };
}
