/**
 * The containers of records, and the one place where a file of data is opened. A new container is one file and one line
 * here; one that a library reads says so, and is read in a process with limits (and stands in `container-work.ts`).
 */
import { basename } from "node:path";
import { inputError } from "../../errors.ts";
import { arrow } from "./arrow.ts";
import { COMPRESSIONS } from "./compressions/index.ts";
import type { Container, Found } from "./container.ts";
import { csv } from "./csv.ts";
import { dataFiles } from "./data-files.ts";
import { foreignRecords } from "./foreign.ts";
import { json } from "./json.ts";
import { jsonLines } from "./json-lines.ts";
import { parquet } from "./parquet.ts";
import { refusePointer, sourceOf, uncompressedName } from "./source.ts";

export const CONTAINERS: readonly Container[] = [jsonLines, json, parquet, csv, arrow];

/** Records that come together, and the file that they stand in. */
export interface RecordsOfFile {
  readonly file: string;
  readonly records: readonly Found[];
}

/** The records of a file, of the files of a folder, or of those that a pattern names, in order. */
export async function* openRecords(path: string): AsyncGenerator<RecordsOfFile> {
  for (const file of await filesOfData(path)) {
    await refusePointer(file);
    const container = containerOf(file);
    const all = container.isForeign === true ? foreignRecords(container, file) : container.records(sourceOf(file));
    for await (const records of all) yield { file, records };
  }
}

/** The files that a path of data stands for: itself, those of a folder, or those of a pattern; in order of their names. */
export async function filesOfData(path: string): Promise<readonly string[]> {
  const files = await dataFiles(path, (name) => containerNamed(name) !== undefined);
  for (const file of files) containerOf(file);
  return files;
}

function containerOf(file: string): Container {
  const container = containerNamed(file);
  if (container !== undefined) return container;
  throw inputError(
    file,
    `expected a file of conversations (${suffixWords()}), found ${JSON.stringify(basename(file))}`,
  );
}

function containerNamed(file: string): Container | undefined {
  const name = uncompressedName(file).toLowerCase();
  return CONTAINERS.find(({ suffixes }) => suffixes.some((suffix) => name.endsWith(suffix)));
}

/** `.jsonl, .json, …, each also with .gz or .zst`. */
export function suffixWords(): string {
  const compressed = COMPRESSIONS.map(({ suffixes }) => suffixes[0]).join(" or ");
  return `${CONTAINERS.flatMap(({ suffixes }) => suffixes).join(", ")}, each also with ${compressed}`;
}
