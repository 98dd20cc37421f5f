/**
 * What a run directory holds that a report can show. Everything is optional: a run that is under way, or one of older
 * make, has a shorter report. What is there must be readable, else the file is named.
 */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import type { Conversation } from "../data/conversation.ts";
import type { LeftOut } from "../data/irregular.ts";
import { readConversations } from "../data/read.ts";
import { inputError } from "../errors.ts";
import { exists, fileError, readJson, readText } from "../formats/files.ts";
import { problemOf } from "../issue.ts";
import { RECORD_FILE as MERGE_RECORD } from "../merge/record.ts";
import { EVALUATION, RESERVED_EVALUATIONS, RUN_FILES } from "../recipe/layout.ts";
import {
  type Alignment,
  type AnswersCard,
  alignmentDocument,
  answersCardDocument,
  type BenchmarkComparison,
  comparisonDocument,
  type Gates,
  gatesDocument,
  type LogLine,
  leftOutDocument,
  logLine,
  type Merge,
  mergeDocument,
  notesDocument,
  type Plan,
  planDocument,
  type UnitTime,
  unitTime,
} from "./run-documents.ts";

export interface Named<T> {
  readonly name: string;
  readonly value: T;
}

export interface RunData {
  readonly recipe: string | undefined;
  readonly plan: Plan | undefined;
  /** Held-out first, then by name. */
  readonly benchmarks: readonly BenchmarkComparison[];
  readonly gates: Gates["gates"];
  /** What the run says about its own evaluation, such as which draw its settings were chosen on. */
  readonly notes: readonly string[];
  /** A line per optimiser step, of targets and baselines. */
  readonly logs: readonly Named<readonly LogLine[]>[];
  readonly alignments: readonly Named<Alignment>[];
  readonly merges: readonly Named<Merge>[];
  /** Conversations by the part of the data they belong to. */
  readonly data: readonly Named<readonly Conversation[]>[];
  /** Whose answers are trained on, where the recipe's models answer. */
  readonly answers: AnswersCard | undefined;
  /** Records of the data that cannot be used, by reason. */
  readonly leftOut: readonly LeftOut[];
  readonly timing: readonly UnitTime[];
}

/** A run that has nothing to show yet. */
export const EMPTY_RUN: RunData = {
  recipe: undefined,
  plan: undefined,
  benchmarks: [],
  gates: [],
  notes: [],
  logs: [],
  alignments: [],
  merges: [],
  data: [],
  answers: undefined,
  leftOut: [],
  timing: [],
};

export async function readRunData(folder: string): Promise<RunData> {
  const at = (name: string): string => join(folder, name);
  const notes = await jsonOf(at("evaluate/notes.json"), notesDocument);
  return {
    recipe: await textOf(at(RUN_FILES.recipe)),
    plan: await jsonOf(at(RUN_FILES.plan), planDocument),
    benchmarks: await benchmarksOf(at(EVALUATION)),
    gates: (await jsonOf(at(RUN_FILES.gates), gatesDocument))?.gates ?? [],
    notes: notes?.notes ?? [],
    logs: [
      ...(await eachFolder(at("targets"), (path) => linesOf(join(path, "log.jsonl"), logLine), "target ")),
      ...(await eachFolder(at("baselines"), (path) => linesOf(join(path, "log.jsonl"), logLine))),
    ],
    alignments: await eachFolder(at("aligned"), (path) => jsonOf(join(path, "alignment.json"), alignmentDocument)),
    merges: [...(await named("fused", readMerge(at("fused")))), ...(await eachFolder(at("merges"), readMerge))],
    data: [
      ...(await named("training", conversationsOf(at(RUN_FILES.train)))),
      ...(await named("held out", conversationsOf(at(RUN_FILES.heldOut)))),
    ],
    answers: await jsonOf(at(RUN_FILES.card), answersCardDocument),
    leftOut: (await jsonOf(at(RUN_FILES.leftOut), leftOutDocument))?.left_out ?? [],
    timing: (await linesOf(at(RUN_FILES.timing), unitTime)) ?? [],
  };
}

/** Of a merged model's folder; undefined where it holds none. */
export async function readMerge(folder: string): Promise<Merge | undefined> {
  return jsonOf(join(folder, MERGE_RECORD), mergeDocument);
}

async function named<T>(name: string, value: Promise<T | undefined>): Promise<Named<T>[]> {
  const found = await value;
  return found === undefined ? [] : [{ name, value: found }];
}

const HELD_OUT = "held-out";

/** The comparisons of a folder: its JSON files, but for those that are no comparison. */
async function benchmarksOf(folder: string): Promise<BenchmarkComparison[]> {
  if (!(await exists(folder))) return [];
  const files = await readdir(folder).catch((error) => {
    throw fileError(folder, error);
  });
  const names = files.filter((file) => file.endsWith(".json") && !RESERVED_EVALUATIONS.includes(file.slice(0, -5)));
  const found: BenchmarkComparison[] = [];
  for (const name of names.sort()) found.push(...[(await jsonOf(join(folder, name), comparisonDocument)) ?? []].flat());
  return [
    ...found.filter(({ benchmark }) => benchmark === HELD_OUT),
    ...found.filter(({ benchmark }) => benchmark !== HELD_OUT),
  ];
}

/** What `read` finds in the folders of a folder, in the order of their names. */
async function eachFolder<T>(
  folder: string,
  read: (path: string) => Promise<T | undefined>,
  prefix = "",
): Promise<Named<T>[]> {
  if (!(await exists(folder))) return [];
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    throw fileError(folder, error);
  });
  const names = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith(".")).map(({ name }) => name);
  const found: Named<T>[] = [];
  for (const name of names.sort()) found.push(...(await named(`${prefix}${name}`, read(join(folder, name)))));
  return found;
}

async function textOf(path: string): Promise<string | undefined> {
  return (await exists(path)) ? readText(path) : undefined;
}

async function jsonOf<T extends z.ZodType>(path: string, schema: T): Promise<z.output<T> | undefined> {
  return (await exists(path)) ? parse(schema, await readJson(path), path) : undefined;
}

async function linesOf<T extends z.ZodType>(path: string, schema: T): Promise<z.output<T>[] | undefined> {
  const text = await textOf(path);
  if (text === undefined) return undefined;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line, index) => {
    const where = `${path}:${index + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw inputError(where, "expected a line of JSON", error);
    }
    return parse(schema, value, where);
  });
}

async function conversationsOf(path: string): Promise<readonly Conversation[] | undefined> {
  return (await exists(path)) ? (await readConversations(path)).conversations : undefined;
}

function parse<T extends z.ZodType>(schema: T, value: unknown, where: string): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const place = issue.path.length === 0 ? "" : `${issue.path.map(String).join(".")}: `;
  throw inputError(where, `${place}not as a run writes it (${problemOf(issue)}); was the file changed by hand?`);
}
