/** CSV with named columns. Every cell is a text; an empty one says nothing. */
import { pipeline, Readable } from "node:stream";
import { FusechatError, inputError, libraryReason } from "../../errors.ts";
import type { Container, Found } from "./container.ts";
import { LONGEST_RECORD_BYTES } from "./lines.ts";
import { type Source, textChunks } from "./source.ts";

export const csv: Container = {
  name: "CSV",
  summary:
    "cells between commas, quoted where needed, the names of the columns in the first line; an empty cell says nothing",
  suffixes: [".csv"],
  records: csvRecords,
};

async function* csvRecords(source: Source): AsyncGenerator<Found> {
  const { parse } = await import("csv-parse");
  const parser = parse({ relax_column_count: true, skip_empty_lines: true, max_record_size: LONGEST_RECORD_BYTES });
  try {
    // Errors of the file reach whoever iterates.
    pipeline(Readable.from(decoded(source)), parser, () => {});
    let columns: readonly string[] | null = null;
    let number = 0;
    for await (const row of parser as AsyncIterable<string[]>) {
      if (columns === null) {
        columns = columnsOf(row, source.path);
        continue;
      }
      number += 1;
      yield recordOf(columns, row, `: row ${number}`);
    }
  } catch (error) {
    if (error instanceof FusechatError) throw error;
    const reason = libraryReason(error);
    throw inputError(source.path, `expected CSV, but it cannot be read: ${reason}`, error);
  } finally {
    parser.destroy();
  }
}

/** The library would replace what is no UTF-8 without a word. */
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

function columnsOf(row: readonly string[], path: string): readonly string[] {
  const names = row.map((name) => name.trim());
  const seen = new Set<string>();
  const twice = names.find((name) => seen.size === seen.add(name).size);
  if (twice !== undefined) {
    throw inputError(path, `expected a name of its own for every column, found ${JSON.stringify(twice)} twice`);
  }
  return names;
}

function recordOf(columns: readonly string[], row: readonly string[], place: string): Found {
  if (row.length !== columns.length) {
    const sentence = `expected a cell for each of the ${columns.length} columns, found ${row.length}`;
    return { place, problem: { reason: "with another number of cells than columns", sentence } };
  }
  return {
    place,
    record: Object.fromEntries(columns.map((name, index) => [name, row[index] === "" ? null : row[index]])),
  };
}
