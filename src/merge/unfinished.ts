/**
 * The folder a merge is built in, `OUT.<process>.tmp`, and what of it the same merge can go on with after its process
 * was killed or interrupted: every finished tensor whose bytes are still those that were written. Who looks there holds the lock of `OUT`, on whatever host the process
 * was, so it has ended. Beside a shard lies a record of the tensors of it that are on the
 * disk, with what is known of them and a hash of all that decides their bytes; what it does not list counts for nothing.
 */
import { createHash } from "node:crypto";
import { readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { exists, readJson, sha256OfRange, writeJson } from "../formats/files.ts";
import { makeFolder, renameForGood } from "../formats/folders.ts";
import { canonicalJson } from "../formats/json-text.ts";
import { programOf } from "../version.ts";
import { isRecord } from "./complaints.ts";
import type { OutputShard } from "./output-shards.ts";
import type { MergePlan } from "./plan.ts";
import type { TensorReport, TensorSetup } from "./tensor-work.ts";

/** Finished tensors by their place in the shard. */
export type FinishedTensors = ReadonlyMap<number, TensorReport>;

/** Those of every shard that has some, by its file. */
export type FinishedParts = ReadonlyMap<string, FinishedTensors>;

export interface Unfinished {
  /** Of another process that has ended; undefined where nothing is there to go on with. */
  readonly folder: string | undefined;
  readonly finished: FinishedParts;
}

/** Looks for what an ended process left of this merge into `out`, which is locked. What is left of another one goes. */
export async function findUnfinished(out: string, hash: string, shards: readonly OutputShard[]): Promise<Unfinished> {
  let found: Unfinished = { folder: undefined, finished: new Map() };
  let most = 0;
  const names = await readdir(dirname(out)).catch((): string[] => []);
  const prefix = `${basename(out)}.`;
  for (const name of names) {
    if (!name.startsWith(prefix) || !/^\d+\.tmp$/.test(name.slice(prefix.length))) continue;
    const folder = join(dirname(out), name);
    const finished = await finishedParts(folder, hash, shards);
    const count = countTensors(finished);
    if (count > most) {
      if (found.folder !== undefined) await rm(found.folder, { recursive: true, force: true });
      found = { folder, finished };
      most = count;
    } else await rm(folder, { recursive: true, force: true });
  }
  return found;
}

export function countTensors(finished: FinishedParts): number {
  return [...finished.values()].reduce((sum, tensors) => sum + tensors.size, 0);
}

/** The folder of this process, with the shards of what was found and nothing else. */
export async function openUnfinished(out: string, { folder, finished }: Unfinished): Promise<string> {
  const own = `${out}.${process.pid}.tmp`;
  if (folder === undefined) await makeFolder(own);
  else if (folder !== own) await renameForGood(folder, own);
  const kept = new Set([...finished.keys()].flatMap((file) => [file, basename(recordPath(own, file))]));
  for (const name of await readdir(own)) if (!kept.has(name)) await rm(join(own, name), { recursive: true });
  return own;
}

/** Says which tensors of a shard are on the disk. */
export async function recordTensors(
  folder: string,
  { file }: OutputShard,
  hash: string,
  finished: FinishedTensors,
): Promise<void> {
  await writeJson(recordPath(folder, file), { plan: hash, tensors: Object.fromEntries(finished) });
}

/** True where something is there to go on with. */
export async function hasRecords(folder: string, shards: readonly OutputShard[]): Promise<boolean> {
  for (const { file } of shards) if (await exists(recordPath(folder, file))) return true;
  return false;
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
  { likeMergekit, repair }: Pick<TensorSetup, "likeMergekit" | "repair">,
  shards: readonly OutputShard[],
): Promise<string> {
  const folders = new Set([...models, ...(base === undefined ? [] : [base]), donor].flatMap((input) => input.folders));
  if (vocabulary !== undefined) folders.add(vocabulary.folder).add(vocabulary.modelFolder);
  const files: unknown[] = [];
  for (const folder of folders) {
    for (const name of (await readdir(folder)).sort()) {
      const { size, mtimeMs } = await stat(join(folder, name));
      files.push([folder, name, size, mtimeMs]);
    }
  }
  const cuts = shards.map(({ file, bytes }) => [file, bytes]);
  const { warnings: _, ...settings } = config;
  return createHash("sha256")
    .update(canonicalJson({ settings, likeMergekit, repair, files, cuts, revision: programOf("merge").revision }))
    .digest("hex");
}

const figures = z.array(z.number()).exactOptional();
const tensorReport: z.ZodType<TensorReport> = z.object({
  coefficients: figures,
  repaired: figures,
  remark: z.string().exactOptional(),
  sha256: z.string(),
});

async function finishedParts(folder: string, hash: string, shards: readonly OutputShard[]): Promise<FinishedParts> {
  const parts = new Map<string, FinishedTensors>();
  for (const { file, bytes, positions, lengths } of shards) {
    const path = recordPath(folder, file);
    if (!(await exists(path))) continue;
    const record = await readJson(path);
    if (!isRecord(record) || record.plan !== hash || !isRecord(record.tensors)) continue;
    const size = await stat(join(folder, file)).then(
      (info) => info.size,
      () => -1,
    );
    if (size !== bytes) continue;
    const tensors = new Map<number, TensorReport>();
    for (const [key, found] of Object.entries(record.tensors)) {
      const place = Number(key);
      const begin = positions[place];
      const report = tensorReport.safeParse(found).data;
      if (begin === undefined || report === undefined) continue;
      const sha256 = await sha256OfRange(join(folder, file), begin, lengths[place]!);
      if (sha256 === report.sha256) tensors.set(place, report);
    }
    if (tensors.size > 0) parts.set(file, tensors);
  }
  return parts;
}

function recordPath(folder: string, file: string): string {
  return join(folder, `${file}.json`);
}
