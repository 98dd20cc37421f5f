/**
 * What a target was made from: settings and the hashes of all inputs, kept as `fuse.json` in the finished folder and
 * as `.checkpoint/fuse.json` in an unfinished one. Paths are left out, so that the same inputs elsewhere give the same
 * bytes and a moved folder is recognised.
 */

import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { z } from "zod";
import { hubModelOf } from "../distributions/folder.ts";
import type { Engine } from "../engine/engine.ts";
import { inputError } from "../errors.ts";
import { checked } from "../formats/checked-json.ts";
import { exists, readJson, sha256OfFile } from "../formats/files.ts";
import { hubNameOf } from "../hub/id.ts";
import { emptyTable } from "../table.ts";
import { type Program, programOf } from "../version.ts";
import { groupLabel } from "./groups/groups.ts";
import { type FuseOptions, foldersOf } from "./options.ts";
import type { Pair } from "./pair.ts";

export const RECORD_FILE = "fuse.json";
export const RECORD_FORMAT = "fusechat-target-1";

export type Value = string | number | boolean | null;

export interface TargetRecord {
  readonly format: typeof RECORD_FORMAT;
  /** Who trains; no part of what makes two targets the same. */
  readonly program: Program;
  readonly pivot: string;
  /** Null for plain fine-tuning; of several sources their names with ` + ` between them. */
  readonly source: string | null;
  /** `org/name@commit` of those of them that are of the Hub, several sources by their names; no part of what makes two targets the same. */
  readonly hub?: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, Value>>;
  /** SHA-256 of every input, by name. */
  readonly inputs: Readonly<Record<string, string>>;
}

/** The record of these options. Settings that have no part in plain fine-tuning are left out of it. */
export async function describeTarget(
  options: FuseOptions,
  pair: Pair,
  engine: Pick<Engine, "identity">,
): Promise<TargetRecord> {
  const fusion =
    pair.sourceNames.length === 0
      ? {}
      : {
          function: options.function,
          level: options.level,
          lambda: options.lambda,
          tail: options.tail,
          unshared: options.unshared,
          ...(options.emphasis === "even" ? {} : { emphasis: options.emphasis, even_share: options.evenShare }),
        };
  const conversations = options.conversations.map((conversation) => conversation.id).join("\n");
  const hub = await hubModels(options, pair);
  return {
    format: RECORD_FORMAT,
    program: programOf("target"),
    pivot: pair.metadata.model,
    source: sourceOf(pair),
    ...(hub === null ? {} : { hub }),
    settings: {
      ...fusion,
      lr: options.lr,
      epochs: options.epochs,
      batch: options.batch,
      warmup_ratio: options.warmupRatio,
      weight_decay: options.weightDecay,
      seed: options.seed,
      shuffle: options.shuffle,
      dtype: options.dtype,
      max_length: pair.metadata.maxLength,
      ...loraSettings(options),
      ...(engine.identity === undefined ? {} : { engine: engine.identity }),
    },
    inputs: {
      weights: pair.metadata.weightsSha256,
      config: await sha256OfFile(join(options.model, "config.json")),
      tokenizer: pair.metadata.tokenizerSha256,
      conversations: createHash("sha256").update(conversations, "utf8").digest("hex"),
      ...(options.level === "group" && pair.sourceNames.length > 0 ? { labels: labelsSha256(options) } : {}),
      ...pair.hashes,
    },
  };
}

/** Nothing where the weights themselves are trained. */
function loraSettings({ lora }: FuseOptions): Record<string, Value> {
  if (lora === undefined) return {};
  const { rank, alpha, targets, keep } = lora;
  return { lora_rank: rank, lora_alpha: alpha, lora_targets: targets.join(" "), lora_keep: keep };
}

/** Conversations' ids are hashes of their turns; labels make groups too. */
function labelsSha256({ conversations }: FuseOptions): string {
  const labels = conversations.map((conversation) => groupLabel(conversation) ?? null);
  return createHash("sha256").update(JSON.stringify(labels), "utf8").digest("hex");
}

/** How a target's sources are called together; null for plain fine-tuning. */
export function sourceOf({ sourceNames }: Pick<Pair, "sourceNames">): string | null {
  return sourceNames.length === 0 ? null : sourceNames.join(" + ");
}

async function hubModels(
  { model, source }: FuseOptions,
  { sourceNames }: Pair,
): Promise<NonNullable<TargetRecord["hub"]> | null> {
  const found = emptyTable<string>();
  const ofPivot = hubNameOf(resolve(model));
  if (ofPivot !== undefined) found.pivot = ofPivot;
  for (const [index, folder] of foldersOf(source).entries()) {
    const name = sourceNames[index];
    const ofSource = name === undefined ? undefined : await hubModelOf(folder);
    if (ofSource !== undefined) found[sourceNames.length === 1 ? "source" : `source ${name}`] = ofSource;
  }
  return Object.keys(found).length === 0 ? null : found;
}

const value = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const targetRecord = z.looseObject({
  format: z.literal(RECORD_FORMAT),
  // Of an earlier version there is none.
  program: z.unknown().optional(),
  pivot: z.string(),
  source: z.string().nullable(),
  hub: z.record(z.string(), z.string()).exactOptional(),
  settings: z.record(z.string(), value),
  inputs: z.record(z.string(), z.string()),
});

/** Reads a record if the file is there. Fields beyond those of `TargetRecord` are kept. */
export async function readRecord(path: string): Promise<(TargetRecord & Record<string, unknown>) | null> {
  if (!(await exists(path))) return null;
  const value = await readJson(path);
  if (typeof value === "object" && value !== null && "format" in value && value.format === RECORD_FORMAT) {
    return checked(path, value, targetRecord, "the record of a target") as TargetRecord & Record<string, unknown>;
  }
  throw inputError(path, `expected the record of a target ("format": "${RECORD_FORMAT}"), found something else`);
}

/** Throws for the first key in which what the folder holds differs from what is asked for now. */
export function checkSameTarget(out: string, held: TargetRecord, asked: TargetRecord): void {
  const before = flatten(held);
  const now = flatten(asked);
  for (const key of new Set([...now.keys(), ...before.keys()])) {
    if (before.get(key) === now.get(key)) continue;
    throw inputError(
      out,
      `holds a target with ${key} ${show(before.get(key))}, but now it is ${show(now.get(key))}; ` +
        "choose another folder, or remove this one to start anew",
    );
  }
}

/** Inputs first: where another model is asked for, its name says more than a setting that follows from it. */
function flatten(record: TargetRecord): Map<string, Value> {
  const values = new Map<string, Value>([
    ["pivot", record.pivot],
    ["source", record.source],
  ]);
  for (const [key, value] of Object.entries(record.settings)) values.set(key, value);
  for (const [key, value] of Object.entries(record.inputs)) values.set(`input ${key}`, value);
  return values;
}

function show(value: Value | undefined): string {
  if (value === undefined || value === null) return "none";
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value) ? `${value.slice(0, 12)}…` : String(value);
}
