/**
 * The model folders of a merge, opened once each, under one set of names: tables that follow from the config and heads
 * that are copies of their embeddings are left out, and a fine-tune that was saved without the prefix of its class has
 * the names of the model whose files come first.
 */
import { stat } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { inputError } from "../../errors.ts";
import { openWeights } from "../../formats/weights.ts";
import type { MergeConfig } from "../config.ts";
import { anatomyOf } from "./anatomy.ts";
import { isDerived } from "./buffers.ts";
import { dropCopies } from "./copies.ts";
import type { MergeInput } from "./input.ts";
import { hasLanguageHead, readModelConfig, tiedFlag } from "./model-config.ts";
import { withNamesOf } from "./prefixes.ts";
import { refuseQuantised } from "./quantised.ts";
import { haveSameBytes } from "./same-bytes.ts";

/** By their names, in the order of the configuration, base_model last where it is not listed. */
export async function openInputs(config: MergeConfig, baseFolder: string): Promise<ReadonlyMap<string, MergeInput>> {
  const inputs: MergeInput[] = [];
  for (const name of modelNames(config)) inputs.push(await openInput(name, await findFolder(name, baseFolder)));
  const donor = inputs.find(({ name }) => name === config.base_model) ?? inputs[0]!;
  const renamed = inputs.map((input) => withNamesOf(donor, input));
  const whole = await dropCopies(renamed);
  return new Map(whole.map((input) => [input.name, input]));
}

function modelNames({ models, slices = [], base_model: base }: MergeConfig): ReadonlySet<string> {
  const listed = models.map(({ model }) => model);
  const sliced = slices.flatMap((slice) => slice.sources.map(({ model }) => model));
  const bases = [...slices.map((slice) => slice.base_model), base];
  return new Set([...listed, ...sliced, ...bases.filter((name) => name !== undefined)]);
}

async function openInput(name: string, folder: string): Promise<MergeInput> {
  const config = await readModelConfig(folder);
  const weights = await openWeights(folder);
  refuseQuantised(folder, config, weights.tensors.values());
  const tensors = new Map([...weights.tensors].filter(([, info]) => !isDerived(info)));
  const warnings: string[] = [];
  if (weights.absent.length > 0) {
    const [first, ...others] = weights.absent;
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    warnings.push(`${name}: its index lists the tensor ${JSON.stringify(first)}${more}, which no file holds`);
  }
  const { embedding, head } = anatomyOf(tensors, config);
  const flag = tiedFlag(config);
  if (flag === true && embedding !== undefined && head !== undefined) {
    if (await haveSameBytes(tensors.get(embedding)!, tensors.get(head)!)) tensors.delete(head);
    else {
      warnings.push(
        `${name}: config.json says that head and embedding are one, but ${JSON.stringify(head)} is another tensor; it is merged as one`,
      );
    }
  }
  const anatomy = anatomyOf(tensors, config);
  const mayBeTied = flag ?? (hasLanguageHead(config) || !config.has("architectures"));
  const isTied = mayBeTied && anatomy.head === undefined && anatomy.embedding !== undefined;
  return {
    name,
    folder,
    config,
    files: weights.files,
    byteLength: [...weights.tensors.values()].reduce((total, { byteLength }) => total + byteLength, 0),
    sha256: weights.sha256,
    stored: weights.tensors,
    tensors,
    anatomy,
    isTied,
    warnings,
  };
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
