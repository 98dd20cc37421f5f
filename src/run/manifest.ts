/**
 * The manifest of a unit is written last: it says that the unit is finished, from which inputs, and what it wrote. A
 * unit whose manifest still fits is skipped. Manifests hold no times and no paths outside the run, so they too are the
 * same bytes in every run of the same recipe.
 */
import { createHash } from "node:crypto";
import { readdir, rm, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { internalError } from "../errors.ts";
import { exists, readText, sha256OfFile, writeJson } from "../formats/files.ts";
import { RUN_FILES } from "../recipe/layout.ts";
import type { Unit } from "./units.ts";

export interface OutputFile {
  readonly bytes: number;
  readonly sha256: string;
}

export interface UnitManifest {
  readonly unit: string;
  /** SHA-256 of the manifest of every unit that this one read. */
  readonly inputs: Readonly<Record<string, string>>;
  /** Files written, by their path in the run directory. */
  readonly outputs: Readonly<Record<string, OutputFile>>;
}

/** Wall times differ from run to run, and are no result. */
const TIMING_FILE = "timing.jsonl";

export function manifestPath(run: string, unit: string): string {
  return join(run, RUN_FILES.units, `${unit.replaceAll("/", "--")}.json`);
}

/** SHA-256 of a finished unit's manifest. */
export async function manifestHash(run: string, unit: string): Promise<string> {
  return createHash("sha256")
    .update(await readText(manifestPath(run, unit)), "utf8")
    .digest("hex");
}

/** `missing`: never finished. `changed`: an input was made again, or an output is no longer what was written. */
export async function stateOf(run: string, unit: Unit): Promise<"finished" | "missing" | "changed"> {
  const path = manifestPath(run, unit.id);
  if (!(await exists(path))) return "missing";
  const manifest = parseManifest(await readText(path));
  if (manifest === null || manifest.unit !== unit.id) return "changed";
  for (const input of unit.after) {
    if (!(await exists(manifestPath(run, input)))) return "changed";
    if (manifest.inputs[input] !== (await manifestHash(run, input))) return "changed";
  }
  for (const [file, { bytes }] of Object.entries(manifest.outputs)) {
    if ((await sizeOf(join(run, file))) !== bytes) return "changed";
  }
  return "finished";
}

/** Hashes what the unit wrote and says that it is finished. */
export async function writeManifest(run: string, unit: Unit): Promise<void> {
  const inputs: Record<string, string> = {};
  for (const input of unit.after) inputs[input] = await manifestHash(run, input);
  const outputs: Record<string, OutputFile> = {};
  for (const file of await filesOf(run, unit)) {
    const path = join(run, file);
    outputs[file.split(sep).join("/")] = { bytes: (await stat(path)).size, sha256: await sha256OfFile(path) };
  }
  if (Object.keys(outputs).length === 0) throw internalError(`the unit ${unit.id} wrote nothing`);
  const manifest: UnitManifest = { unit: unit.id, inputs, outputs };
  await writeJson(manifestPath(run, unit.id), manifest);
}

/** Forgets a unit and removes what it wrote. */
export async function discardUnit(run: string, unit: Unit): Promise<void> {
  await rm(manifestPath(run, unit.id), { force: true });
  for (const output of unit.outputs) await rm(join(run, output), { recursive: true, force: true });
}

/** The unit's output files, sorted, times left out. */
async function filesOf(run: string, unit: Unit): Promise<string[]> {
  const files: string[] = [];
  for (const output of unit.outputs) {
    const path = join(run, output);
    if (!(await exists(path))) throw internalError(`the unit ${unit.id} did not write ${output}`);
    if (!(await stat(path)).isDirectory()) files.push(output);
    else {
      for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
        if (entry.isFile() && entry.name !== TIMING_FILE)
          files.push(join(output, join(entry.parentPath, entry.name).slice(path.length + 1)));
      }
    }
  }
  return files.sort();
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return -1;
  }
}

function parseManifest(text: string): UnitManifest | null {
  try {
    const manifest = JSON.parse(text);
    return typeof manifest.outputs === "object" && typeof manifest.inputs === "object" ? manifest : null;
  } catch {
    return null;
  }
}
