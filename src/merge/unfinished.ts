/**
 * The folder a merge is built in, `OUT.<process>.tmp`, and what of it the same merge can go on with after its process
 * was killed or interrupted: every finished shard. Beside a shard that is whole and flushed lies a record of it, with
 * its coefficients and a hash of all that decides its bytes; without that record a shard counts for nothing.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { exists, readJson, writeJson } from "../formats/files.ts";
import { canonicalJson } from "../formats/json-text.ts";
import { isRecord } from "./complaints.ts";
import type { OutputShard } from "./output-shards.ts";
import type { MergePlan } from "./plan.ts";

/** The weights every model got in every tensor, in the plan's order; undefined where the method computes none. */
export type Coefficients = readonly (readonly number[] | undefined)[];

/** Finished shards by their file, with the coefficients of their tensors. */
export type FinishedShards = ReadonlyMap<string, Coefficients>;

export interface Unfinished {
  /** Of another process that has ended; undefined where nothing is there to go on with. */
  readonly folder: string | undefined;
  readonly finished: FinishedShards;
}

/**
 * Looks for what an ended process left of this merge into `out`. What it left of another one is taken away; folders of
 * living processes stay.
 */
export async function findUnfinished(out: string, hash: string, shards: readonly OutputShard[]): Promise<Unfinished> {
  let found: Unfinished = { folder: undefined, finished: new Map() };
  const names = await readdir(dirname(out)).catch((): string[] => []);
  const prefix = `${basename(out)}.`;
  for (const name of names) {
    const pid = name.startsWith(prefix) ? /^(\d+)\.tmp$/.exec(name.slice(prefix.length))?.[1] : undefined;
    if (pid === undefined || (isAlive(Number(pid)) && Number(pid) !== process.pid)) continue;
    const folder = join(dirname(out), name);
    const finished = await finishedShards(folder, hash, shards);
    if (finished.size > found.finished.size) {
      if (found.folder !== undefined) await rm(found.folder, { recursive: true, force: true });
      found = { folder, finished };
    } else await rm(folder, { recursive: true, force: true });
  }
  return found;
}

/** The folder of this process, with the finished shards of what was found and nothing else. */
export async function openUnfinished(out: string, { folder, finished }: Unfinished): Promise<string> {
  const own = `${out}.${process.pid}.tmp`;
  await mkdir(dirname(own), { recursive: true });
  if (folder === undefined) await mkdir(own, { recursive: true });
  else if (folder !== own) await rename(folder, own);
  const kept = new Set([...finished.keys()].flatMap((file) => [file, basename(recordPath(own, file))]));
  for (const name of await readdir(own)) if (!kept.has(name)) await rm(join(own, name), { recursive: true });
  return own;
}

/** Says of a shard that is on the disk that it is whole. */
export async function recordShard(
  folder: string,
  { file }: OutputShard,
  hash: string,
  coefficients: Coefficients,
): Promise<void> {
  await writeJson(recordPath(folder, file), { plan: hash, coefficients: coefficients.map((own) => own ?? null) });
}

/** Once all is done nobody needs the records. */
export async function removeRecords(folder: string, shards: readonly OutputShard[]): Promise<void> {
  for (const { file } of shards) await rm(recordPath(folder, file), { force: true });
}

/**
 * SHA-256 of what decides the bytes of every shard: the configuration, and the inputs' files by name, size and time of
 * the last change. Their contents would take as long to hash as most merges take.
 */
export async function hashPlan(
  { config, models, base, donor, vocabulary }: MergePlan,
  likeMergekit: boolean,
  shards: readonly OutputShard[],
): Promise<string> {
  const folders = new Set([...models, ...(base === undefined ? [] : [base]), donor].map(({ folder }) => folder));
  if (vocabulary !== undefined) folders.add(vocabulary.folder);
  const files: unknown[] = [];
  for (const folder of folders) {
    for (const name of (await readdir(folder)).sort()) {
      const { size, mtimeMs } = await stat(join(folder, name));
      files.push([folder, name, size, mtimeMs]);
    }
  }
  const cuts = shards.map(({ file, bytes }) => [file, bytes]);
  const { warnings: _, ...settings } = config;
  return createHash("sha256").update(canonicalJson({ settings, likeMergekit, files, cuts })).digest("hex");
}

async function finishedShards(folder: string, hash: string, shards: readonly OutputShard[]): Promise<FinishedShards> {
  const finished = new Map<string, Coefficients>();
  for (const { file, bytes, positions } of shards) {
    const path = recordPath(folder, file);
    if (!(await exists(path))) continue;
    const record = await readJson(path);
    if (!isRecord(record) || record.plan !== hash || !Array.isArray(record.coefficients)) continue;
    const size = await stat(join(folder, file)).then(
      (info) => info.size,
      () => -1,
    );
    if (size !== bytes || record.coefficients.length !== positions.length) continue;
    finished.set(
      file,
      record.coefficients.map((own: number[] | null) => own ?? undefined),
    );
  }
  return finished;
}

function recordPath(folder: string, file: string): string {
  return join(folder, `${file}.json`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
