/**
 * A `.json` file: an array of records, an object that holds one list of records, one record, or, wrongly named but
 * common, JSON Lines. The first value is walked over once to see which; records are then cut out one at a time.
 */
import { inputError } from "../../errors.ts";
import { NEWLINE, OPEN_ARRAY } from "../../formats/json-bytes.ts";
import { looksLikeRecord } from "../shapes/record.ts";
import { describe, parsedJson } from "../shapes/values.ts";
import type { Container, Found } from "./container.ts";
import { jsonLineRecords } from "./json-lines.ts";
import { JsonProblem, JsonSplitter, type SplitValue } from "./json-splitter.ts";
import { foundJson } from "./json-value.ts";
import { LONGEST_RECORD_BYTES } from "./lines.ts";
import { type Source, textChunks } from "./source.ts";

export const json: Container = {
  name: "JSON",
  summary:
    "an array of objects of any size, an object that holds one list of records, one record, or one object a line",
  suffixes: [".json"],
  records: jsonRecords,
};

async function* jsonRecords(source: Source): AsyncGenerator<readonly Found[]> {
  const outline = await outlineOf(source);
  if (outline.kind === "lines") {
    yield* jsonLineRecords(source);
    return;
  }
  const depth = { values: 0, array: 1, member: 2 }[outline.kind];
  let number = 0;
  for await (const values of valuesOf(source, depth, outline.kind !== "values")) {
    const found: Found[] = [];
    for (const value of values) {
      if (outline.kind === "member" && (value.key !== outline.key || value.depth !== 2 || !value.isItem)) continue;
      number += 1;
      found.push(foundJson(`: item ${number}`, value.bytes));
    }
    yield found;
  }
}

type Outline =
  | { readonly kind: "lines" | "values" | "array" }
  /** An object whose list at `key` holds the records. */
  | { readonly kind: "member"; readonly key: string };

/** What the first value of the file is. An array is known by its first byte; an object is walked to its end. */
async function outlineOf(source: Source): Promise<Outline> {
  const splitter = new JsonSplitter(2, LONGEST_RECORD_BYTES);
  let list: string | null = null;
  let first: number | undefined;
  let hasBegun = false;
  let hasLineEnd = false;
  const note = ({ key, index, depth, isItem, bytes }: SplitValue): void => {
    if (depth !== 2 || index !== 0 || !isItem || key === null || bytes === null) return;
    if (!looksLikeRecord(parsedJson(Buffer.from(bytes).toString("utf8")))) return;
    if (list !== null) {
      throw inputError(
        source.path,
        `expected one list of records, found ${describe(list)} and ${describe(key)}; write the one that is meant into a file of its own`,
      );
    }
    list = key;
  };
  for await (const chunk of textChunks(source)) {
    first ??= chunk.find((byte) => byte > 0x20);
    if (first === OPEN_ARRAY) return { kind: "array" };
    if (first === undefined) continue;
    // Line by line, so that what follows the end of the first value is seen where it begins.
    for (let start = 0; start < chunk.length; ) {
      const newline = chunk.indexOf(NEWLINE, start);
      const end = newline < 0 ? chunk.length : newline + 1;
      const wasDone = splitter.rootValues > 0;
      const line = chunk.subarray(start, end);
      const values = told(source, () => splitter.split(line));
      if (wasDone && line.some((byte) => byte > 0x20)) return { kind: hasLineEnd ? "values" : "lines" };
      for (const value of values) note(value);
      hasBegun ||= line.some((byte) => byte > 0x20);
      if (newline >= 0 && hasBegun && splitter.rootValues === 0) hasLineEnd = true;
      start = end;
    }
  }
  if (first === undefined) return { kind: "values" };
  for (const value of told(source, () => splitter.finish())) note(value);
  return list === null ? { kind: "values" } : { kind: "member", key: list };
}

/** The values at a depth, those that end in a chunk together; `isOne` where nothing may follow the first value of the text. */
async function* valuesOf(source: Source, depth: number, isOne: boolean): AsyncGenerator<readonly SplitValue[]> {
  const splitter = new JsonSplitter(depth, LONGEST_RECORD_BYTES);
  const check = (values: readonly SplitValue[]): readonly SplitValue[] => {
    if (isOne && (splitter.rootValues > 1 || values.some((value) => value.depth === 0))) {
      throw inputError(source.path, "expected the end of the file after its first JSON value, found another");
    }
    return values;
  };
  for await (const chunk of textChunks(source)) yield check(told(source, () => splitter.split(chunk)));
  yield check(told(source, () => splitter.finish()));
}

function told<T>({ path }: Source, split: () => T): T {
  try {
    return split();
  } catch (error) {
    if (!(error instanceof JsonProblem)) throw error;
    throw inputError(`${path}:${error.line}:${error.column}`, error.message, error);
  }
}
