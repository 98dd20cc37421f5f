/** The model folders of a merge, opened once each. */
import { stat } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { inputError } from "../errors.ts";
import { openWeights, type Weights } from "../formats/weights.ts";
import type { MergeConfig } from "./config.ts";

export interface MergeInput {
  /** As the configuration calls it. */
  readonly name: string;
  readonly folder: string;
  readonly weights: Weights;
}

/** By their names, in the order of the configuration, base_model last where it is not listed. */
export async function openInputs(config: MergeConfig, baseFolder: string): Promise<ReadonlyMap<string, MergeInput>> {
  const inputs = new Map<string, MergeInput>();
  for (const name of modelNames(config)) {
    const folder = await findFolder(name, baseFolder);
    inputs.set(name, { name, folder, weights: await openWeights(folder) });
  }
  return inputs;
}

function modelNames({ models, slices = [], base_model: base }: MergeConfig): ReadonlySet<string> {
  const listed = models.map(({ model }) => model);
  const sliced = slices.flatMap((slice) => slice.sources.map(({ model }) => model));
  const bases = [...slices.map((slice) => slice.base_model), base];
  return new Set([...listed, ...sliced, ...bases.filter((name) => name !== undefined)]);
}

/** Such as `meta-llama/Llama-3.1-8B`; mergekit downloads those. */
const HUB_NAME = /^[\w-][\w.-]*\/[\w-][\w.-]*$/;

/** Relative paths are looked up in `baseFolder`, then in the current folder. */
export async function findFolder(model: string, baseFolder: string): Promise<string> {
  const places = isAbsolute(model) ? [model] : [...new Set([resolve(baseFolder, model), resolve(model)])];
  for (const place of places) {
    const found = await stat(place).catch(() => undefined);
    if (found?.isDirectory()) return place;
  }
  const advice = HUB_NAME.test(model) ? "; a model of the Hub has to be downloaded first" : "";
  throw inputError(JSON.stringify(model), `expected a model folder, found none at ${places.join(" or ")}${advice}`);
}
