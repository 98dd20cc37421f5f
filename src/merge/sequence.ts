/**
 * Several merges in one file, one after the other: each has a name, under which later ones take its result as a model.
 * Everything that can be known to be wrong is told before the first begins. Each is resumed by itself: what is done is
 * recognised, and what was interrupted goes on.
 */
import { isAbsolute, join, relative, resolve } from "node:path";
import { inputError } from "../errors.ts";
import { findModel, type ModelPlaces } from "../models/reference.ts";
import type { ExecuteContext } from "./execute.ts";
import { type MergeOptions, type MergeSummary, mergeModels } from "./merge.ts";
import { modelNames, withModelNames } from "./model-names.ts";
import type { NamedMerge } from "./read-config.ts";

/** The result of a document without a name, which is the last. */
const LAST = "result";

/** Merges all in their order into folders of `out` that bear their names. */
export async function mergeSequence(
  merges: readonly NamedMerge[],
  options: MergeOptions,
  context: ExecuteContext,
): Promise<readonly MergeSummary[]> {
  const { out, baseFolder = ".", hub } = options;
  const resolved = await resolveSequence(merges, out, { baseFolder, hub });
  const summaries: MergeSummary[] = [];
  for (const { config, out } of resolved) {
    summaries.push(await mergeModels(config, { ...options, out }, context));
  }
  return summaries;
}

export interface ResolvedMerge {
  readonly config: NamedMerge["config"];
  readonly out: string;
  /** Folders of earlier results that it takes. */
  readonly needs: readonly string[];
}

/** Every merge with its folder in `out`, and the names of earlier ones as their folders. Throws where a model is nowhere. */
export async function resolveSequence(
  merges: readonly NamedMerge[],
  out: string,
  places: ModelPlaces,
): Promise<readonly ResolvedMerge[]> {
  const folders = new Map<string, string>();
  const resolved: ResolvedMerge[] = [];
  const later = new Map(merges.map(({ name, where }) => [name ?? LAST, where]));
  for (const { name = LAST, where, config } of merges) {
    later.delete(name);
    const needs: string[] = [];
    for (const model of modelNames(config)) {
      const [base] = model.split("+");
      const made = folders.get(base!);
      if (made !== undefined) needs.push(made);
      else if (later.has(base!) || base === name) {
        throw inputError(where, `${JSON.stringify(base)} is not merged yet; put its document before this one`);
      } else if (!WORDS.includes(model)) await findModel(model, places);
    }
    const rename = (model: string): string => {
      const [base, ...adapters] = model.split("+");
      const made = folders.get(base!);
      return made === undefined ? model : [made, ...adapters].join("+");
    };
    const folder = join(resolve(out), name);
    folders.set(name, folder);
    resolved.push({ config: withModelNames(config, rename), out: nearest(folder), needs });
  }
  return resolved;
}

/** Words of `tokenizer` that are no models. */
const WORDS = ["union", "base"];

/** As the user would write it. */
function nearest(folder: string): string {
  const path = relative("", folder);
  return path.startsWith("..") || isAbsolute(path) ? folder : path;
}
