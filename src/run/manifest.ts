/**
 * The manifest of a unit is written last: it says that the unit is finished, by which program, from which inputs, and
 * what it wrote. A unit whose manifest still fits is skipped, once its outputs are known to be what was written. Manifests
 * hold no times and no paths outside the run, so they too are the same bytes in every run of the same recipe.
 */

import { createHash } from "node:crypto";
import { readdir, rm, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { z } from "zod";
import { inputError, internalError } from "../errors.ts";
import { exists, readText, sha256OfFile, writeJson } from "../formats/files.ts";
import { RUN_FILES } from "../recipe/layout.ts";
import { emptyTable } from "../table.ts";
import { programOf, type ResultKind } from "../version.ts";
import { type SeenFiles, stampOf } from "./seen-files.ts";
import type { Unit, UnitWork } from "./units.ts";

export interface OutputFile {
  readonly bytes: number;
  readonly sha256: string;
}

export interface UnitManifest {
  readonly unit: string;
  /** Who computed it. Not part of what later units read, so that a new version alone makes nothing again. */
  readonly program?: unknown;
  /** What of the recipe the unit follows, where that can grow and shows in no input. */
  readonly settings?: readonly string[] | undefined;
  /** `org/name@commit` of what it read of the Hub, by the model's name in the run. */
  readonly models?: Readonly<Record<string, string>> | undefined;
  /** SHA-256 of the manifest of every unit that this one read. */
  readonly inputs: Readonly<Record<string, string>>;
  /** Files written, by their path in the run directory. */
  readonly outputs: Readonly<Record<string, OutputFile>>;
}

const manifestSchema: z.ZodType<UnitManifest> = z.object({
  unit: z.string(),
  program: z.unknown().optional(),
  settings: z.array(z.string()).optional(),
  models: z.record(z.string(), z.string()).optional(),
  inputs: z.record(z.string(), z.string()),
  outputs: z.record(z.string(), z.object({ bytes: z.number(), sha256: z.string() })),
});

/** Wall times differ from run to run, and are no result. */
const TIMING_FILE = "timing.jsonl";

const KINDS: Readonly<Record<UnitWork["kind"], ResultKind>> = {
  data: "data",
  answers: "data",
  distributions: "distributions",
  align: "alignment",
  fuse: "target",
  "fine-tune": "target",
  merge: "merge",
  evaluate: "evaluation",
  compare: "evaluation",
  gates: "evaluation",
};

export function resultKind({ work }: Unit): ResultKind {
  return KINDS[work.kind];
}

export function manifestPath(run: string, unit: string): string {
  return join(run, RUN_FILES.units, `${unit.replaceAll("/", "--")}.json`);
}

/** null where the unit was never finished, or its manifest is broken. */
export async function readManifest(run: string, unit: string): Promise<UnitManifest | null> {
  const path = manifestPath(run, unit);
  if (!(await exists(path))) return null;
  try {
    const manifest = manifestSchema.parse(JSON.parse(await readText(path)));
    // Every unit writes something.
    return manifest.unit === unit && Object.keys(manifest.outputs).length > 0 ? manifest : null;
  } catch {
    return null;
  }
}

export interface UnitState {
  /** `missing`: never finished. `changed`: what it was made from is another, or an output is not what was written. */
  readonly state: "finished" | "missing" | "changed";
  /** What is wrong with an output. */
  readonly problem?: string;
}

/** How outputs are looked at: those that are not `seen` are hashed, and with `verify` all of them. */
export interface Looking {
  readonly seen: SeenFiles;
  readonly verify: boolean;
}

export async function stateOf(run: string, unit: Unit, { seen, verify }: Looking): Promise<UnitState> {
  if (!(await exists(manifestPath(run, unit.id)))) return { state: "missing" };
  const manifest = await readManifest(run, unit.id);
  if (manifest === null) return { state: "changed", problem: "its manifest is broken" };
  if (JSON.stringify(manifest.settings) !== JSON.stringify(unit.settings)) return { state: "changed" };
  for (const input of unit.after) {
    const hash = await manifestHash(run, input);
    if (hash === null || manifest.inputs[input] !== hash) return { state: "changed" };
  }
  for (const [file, { bytes, sha256 }] of Object.entries(manifest.outputs)) {
    const stamp = await stampOf(join(run, file));
    if (stamp === null) return { state: "changed", problem: `${file} is gone` };
    if (!verify && seen.isUnchanged(file, stamp) && stamp.bytes === bytes) continue;
    if (stamp.bytes !== bytes || (await sha256OfFile(join(run, file))) !== sha256) {
      return { state: "changed", problem: `${file} is not what was written` };
    }
    await seen.note(file, stamp);
  }
  return { state: "finished" };
}

/** Hashes what the unit wrote and says that it is finished. */
export async function writeManifest(run: string, unit: Unit, seen: SeenFiles): Promise<void> {
  const inputs: Record<string, string> = emptyTable();
  for (const input of unit.after) {
    const hash = await manifestHash(run, input);
    if (hash === null) throw internalError(`the unit ${unit.id} was performed before ${input}`);
    inputs[input] = hash;
  }
  const outputs: Record<string, OutputFile> = emptyTable();
  for (const file of await filesOf(run, unit)) {
    const stamp = await stampOf(join(run, file));
    if (stamp === null) throw internalError(`${file} went away while it was hashed`);
    outputs[file] = { bytes: stamp.bytes, sha256: await sha256OfFile(join(run, file)) };
    await seen.note(file, stamp);
  }
  if (Object.keys(outputs).length === 0) throw internalError(`the unit ${unit.id} wrote nothing`);
  const { id, settings } = unit;
  const manifest: UnitManifest = {
    unit: id,
    program: programOf(resultKind(unit)),
    ...(settings === undefined ? {} : { settings }),
    ...hubModelsOf(unit.work),
    inputs,
    outputs,
  };
  await writeJson(manifestPath(run, id), manifest);
}

function hubModelsOf(work: UnitWork): Pick<UnitManifest, "models"> {
  const models =
    "model" in work && "hub" in work.model
      ? [work.model]
      : "source" in work
        ? [work.source]
        : "sources" in work
          ? work.sources
          : [];
  const found = models.flatMap(({ name, hub }) => (hub === undefined ? [] : [[name, hub] as const]));
  return found.length === 0 ? {} : { models: Object.fromEntries(found) };
}

/** Forgets a unit and removes what it wrote; files of somebody else's among its outputs are told of, and stay. */
export async function discardUnit(run: string, unit: Unit): Promise<void> {
  const manifest = await readManifest(run, unit.id);
  if (manifest !== null) {
    const own = new Set(Object.keys(manifest.outputs));
    const foreign = (await presentFiles(run, unit)).find((file) => !own.has(file));
    if (foreign !== undefined) {
      throw inputError(
        run,
        `${unit.id} has to be done again, but among its outputs is ${foreign}, which this run did not write; move it away`,
      );
    }
  }
  await rm(manifestPath(run, unit.id), { force: true });
  for (const output of unit.outputs) await rm(join(run, output), { recursive: true, force: true });
}

/** SHA-256 of what a finished unit says of itself; null where it is not finished. */
async function manifestHash(run: string, unit: string): Promise<string | null> {
  const manifest = await readManifest(run, unit);
  if (manifest === null) return null;
  const { program: _, ...rest } = manifest;
  return createHash("sha256").update(JSON.stringify(rest), "utf8").digest("hex");
}

/** The unit's output files, sorted, times left out. */
async function filesOf(run: string, unit: Unit): Promise<string[]> {
  for (const output of unit.outputs) {
    if (!(await exists(join(run, output)))) throw internalError(`the unit ${unit.id} did not write ${output}`);
  }
  return (await presentFiles(run, unit)).sort();
}

/** Files at the places that the unit writes, times left out; paths in the run directory, with slashes. */
async function presentFiles(run: string, { outputs }: Unit): Promise<string[]> {
  const files: string[] = [];
  for (const output of outputs) {
    const path = join(run, output);
    if (!(await exists(path))) continue;
    if (!(await stat(path)).isDirectory()) files.push(output);
    else {
      for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
        if (entry.isDirectory() || entry.name === TIMING_FILE) continue;
        files.push(join(output, join(entry.parentPath, entry.name).slice(path.length + 1)));
      }
    }
  }
  return files.map((file) => file.split(sep).join("/"));
}
