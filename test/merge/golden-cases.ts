/** mergekit's own merges, as files: reading a case, running it, and how far a result is from it. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { exists, readJson } from "#src/formats/files.js";
import { mergeModels } from "#src/merge/merge.js";
import { readMergeConfig } from "#src/merge/read-config.js";
import type { ReporterEvent } from "#src/reporter.js";
import { type Model, readModel, relative, unitsInTheLastPlace } from "./compare.ts";

export const GOLDEN: string = resolve(import.meta.dirname, "../golden/merge");

export interface Notes {
  readonly tolerance: { readonly rel?: number; readonly ulp?: number; readonly fraction_beyond: number };
  readonly output: {
    readonly tensors: number;
    readonly files: readonly string[];
    readonly config: Record<string, unknown>;
    /** Tokens in the order of their rows. */
    readonly vocab?: readonly string[];
    readonly chat_template?: string | null;
  };
}

export async function readCase(name: string): Promise<{ config: string; notes: Notes; expected: Model }> {
  const folder = join(GOLDEN, "cases", name);
  const exact = join(folder, "expected-float64.safetensors");
  return {
    config: await readFile(join(folder, "config.yaml"), "utf8"),
    notes: (await readJson(join(folder, "notes.json"))) as Notes,
    // Being close to the float64 merge is as good as being close to mergekit's bf16 arithmetic.
    expected: await readModel((await exists(exact)) ? exact : join(folder, "expected.safetensors")),
  };
}

export interface RunResult {
  readonly out: string;
  readonly warnings: readonly string[];
}

/** Runs a configuration whose model paths are relative to the golden folder, below `folder`. */
export async function runCase(
  text: string,
  name: string,
  folder: string,
  likeMergekit: boolean,
  baseFolder: string = GOLDEN,
): Promise<RunResult> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${name}.yaml`);
  await writeFile(path, text);
  const config = await readMergeConfig(path, { likeMergekit });
  const warnings: string[] = [];
  const reporter = {
    report: (event: ReporterEvent): void => void (event.type === "warning" && warnings.push(event.message)),
  };
  const out = join(folder, `${name}.out`);
  await mergeModels(config, { out, baseFolder, likeMergekit }, { reporter });
  return { out, warnings };
}

const MANTISSA: Readonly<Record<string, number>> = { BF16: 7, F16: 10, F32: 23 };

/** The share of all entries that are farther away than the tolerance of the notes. */
export function shareBeyond(actual: Model, expected: Model, { rel, ulp = 0 }: Notes["tolerance"]): number {
  let beyond = 0;
  let entries = 0;
  for (const [name, values] of expected.values) {
    const bits = MANTISSA[actual.dtypes.get(name)!]!;
    const found = actual.values.get(name)!;
    const distance = rel === undefined ? unitsInTheLastPlace(found, values, ulp, bits) : relative(found, values, rel);
    beyond += distance.beyond;
    entries += values.length;
  }
  return beyond / entries;
}
