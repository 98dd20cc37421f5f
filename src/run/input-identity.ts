/**
 * What a run was begun with: fingerprints of the models and data that its recipe names. A run goes on only from the
 * same inputs; folders may move, contents may not change.
 */

import { createHash } from "node:crypto";
import { open, readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { filesOfData } from "../data/containers/index.ts";
import { readSettings } from "../distributions/folder.ts";
import { inputError } from "../errors.ts";
import type { JudgeOptions } from "../evaluate/judges/judge.ts";
import { readChecked } from "../formats/checked-json.ts";
import { exists, fileError, sha256OfFile, writeJson } from "../formats/files.ts";
import { openWeights } from "../formats/weights.ts";
import { hubNameOf } from "../hub/id.ts";
import { benchmarkOf, DATA } from "../recipe/evaluation.ts";
import { distributionsFolder, RUN_FILES } from "../recipe/layout.ts";
import type { Recipe } from "../recipe/recipe.ts";
import { emptyTable } from "../table.ts";

/** Fingerprint by the key of the recipe that names the input. */
export type InputIdentity = Readonly<Record<string, string>>;

const inputIdentity: z.ZodType<InputIdentity> = z.record(z.string(), z.string());

/** Of a larger file only size, beginning and end are looked at: hashing the 140 GB of a source at every start takes minutes. */
const WHOLE_BYTES = 1 << 24;
const EDGE_BYTES = 1 << 20;

export async function identifyInputs(recipe: Recipe, judge: JudgeOptions | null): Promise<InputIdentity> {
  const identity = emptyTable<string>();
  identity.pivot = await folderFingerprint(recipe.pivot.model);
  for (const { name, model, engine } of recipe.sources) {
    const fingerprint = await folderFingerprint(model);
    const server = engine !== null && "url" in engine ? ` ${engine.kind} ${engine.model ?? ""}` : "";
    identity[`source ${name}`] = `${fingerprint}${server}`;
  }
  const files = [...recipe.data.path, ...(recipe.data.held_out_path ?? [])];
  const keys = files.map((_, index) => {
    const held = index - recipe.data.path.length;
    return held < 0 ? `data.path[${index}]` : `data.held_out_path[${held}]`;
  });
  for (const [index, file] of files.entries()) identity[keys[index]!] = await dataFingerprint(file);
  for (const { name, benchmark, settings } of recipe.evaluate.benchmarks) {
    for (const option of benchmarkOf(benchmark).options) {
      const path = option.kind === "path" ? settings[option.name] : undefined;
      if (typeof path !== "string") continue;
      const fingerprint = option.name === DATA ? dataFingerprint : pathFingerprint;
      identity[`evaluate ${name}: ${option.name}`] = await fingerprint(path);
    }
  }
  // The address of a judge may change; another judge would judge otherwise.
  if (judge !== null) identity["evaluate.judge.model"] = judge.endpoint.model;
  return identity;
}

/**
 * Writes down the inputs of a new run, or checks that those of an old one are still what they were. A recipe that `grows`
 * may name more than it did.
 */
export async function checkInputIdentity(run: string, identity: InputIdentity, grows: boolean): Promise<void> {
  const path = join(run, RUN_FILES.inputs);
  const before = (await exists(path))
    ? new Map(Object.entries(await readChecked(path, inputIdentity, "the inputs of a run")))
    : null;
  for (const [key, fingerprint] of Object.entries(identity)) {
    const found = before?.get(key);
    if (before === null || found === fingerprint || (found === undefined && grows)) continue;
    throw inputError(
      run,
      `${key} is no longer what this run began with; restore it, use another --out, or --force to start anew`,
    );
  }
  if (before === null || grows) await writeJson(path, identity);
}

/**
 * Throws where a model's weights are not those that its distributions were collected from, down to the last byte. A
 * fingerprint alone would miss a change in the middle of a large file.
 */
export async function checkWeights(run: string, { pivot, sources }: Recipe): Promise<void> {
  for (const { name, model } of [pivot, ...sources]) {
    const { weights_sha256: collected, served } = (await readSettings(join(run, distributionsFolder(name)))) ?? {};
    // Whether a server still has the model it had, it is asked when work goes on.
    if (collected === undefined || served !== undefined || collected === (await (await openWeights(model)).sha256()))
      continue;
    throw inputError(
      model,
      `its weights are no longer those that ${run} began with; restore them, or use another --out`,
    );
  }
}

/** Of a file its hash; of a folder or a pattern the hash over the names and hashes of the files it stands for. */
async function dataFingerprint(path: string): Promise<string> {
  const files = await filesOfData(path);
  if (files.length === 1 && files[0] === path) return sha256OfFile(path);
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${basename(file)}\0${await sha256OfFile(file)}\0`);
  return hash.digest("hex");
}

async function pathFingerprint(path: string): Promise<string> {
  const stats = await stat(path).catch((error) => {
    throw fileError(path, error);
  });
  return stats.isDirectory() ? folderFingerprint(path) : sha256OfFile(path);
}

/**
 * SHA-256 over the names, sizes and contents of a folder's files (of large ones the edges). Of a model of the Hub its
 * commit, which says the same: its folder may get more files, as other programs need them.
 */
async function folderFingerprint(folder: string): Promise<string> {
  const hub = hubNameOf(folder);
  if (hub !== undefined) return hub;
  const hash = createHash("sha256");
  try {
    for (const name of (await readdir(folder)).sort()) {
      const path = join(folder, name);
      const { size, isFile } = await stat(path).then((stats) => ({ size: stats.size, isFile: stats.isFile() }));
      if (!isFile) continue;
      hash.update(`${name}\0${size}\0`);
      hash.update(size <= WHOLE_BYTES ? await sha256OfFile(path) : await edges(path, size));
    }
  } catch (error) {
    throw fileError(folder, error);
  }
  return hash.digest("hex");
}

async function edges(path: string, size: number): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const bytes = new Uint8Array(2 * EDGE_BYTES);
    await file.read(bytes, 0, EDGE_BYTES, 0);
    await file.read(bytes, EDGE_BYTES, EDGE_BYTES, size - EDGE_BYTES);
    return bytes;
  } finally {
    await file.close();
  }
}
