/**
 * The models of a merge, opened once each, under one set of names: tables that follow from the config and heads that are
 * copies of their embeddings are left out, and a fine-tune that was saved without the prefix of its class has the names
 * of the model whose files come first. `base+adapter` is a base with what a LoRA adapter adds to it.
 */

import { sha256OfFiles } from "../../formats/files.ts";
import type { JsonObject } from "../../formats/json-document.ts";
import type { TensorInfo } from "../../formats/safetensors.ts";
import { NO_OUTLINES, type Outlines, openWeights } from "../../formats/weights.ts";
import { findModel, type ModelFolders, type ModelPlaces } from "../../models/reference.ts";
import { hasTokenizer } from "../../tokenizer/tokenizer-source.ts";
import type { InputTensor } from "../adapters/adapted.ts";
import { adaptTensors, openAdapter } from "../adapters/open-adapter.ts";
import type { MergeConfig } from "../config.ts";
import { anatomyOf } from "./anatomy.ts";
import { isDerived } from "./buffers.ts";
import { dropCopies } from "./copies.ts";
import type { MergeInput } from "./input.ts";
import { hasLanguageHead, readModelConfig, tiedFlag } from "./model-config.ts";
import { withNamesOf } from "./prefixes.ts";
import { refuseQuantised } from "./quantised.ts";
import { haveSameBytes } from "./same-bytes.ts";

/** Where the models of a merge are looked for, and what is known of weights that are not here. */
export interface InputPlaces extends ModelPlaces {
  readonly outlines?: Outlines | undefined;
}

/** By their names, in the order of the configuration, base_model last where it is not listed. */
export async function openInputs(config: MergeConfig, places: InputPlaces): Promise<ReadonlyMap<string, MergeInput>> {
  const inputs: MergeInput[] = [];
  for (const name of modelNames(config))
    inputs.push(await openInput(name, await findModel(name, places), places.outlines));
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

/** Opens one model by itself. */
export async function openInput(
  name: string,
  { folder, adapter: adapterFolder }: ModelFolders,
  outlines: Outlines = NO_OUTLINES,
): Promise<MergeInput> {
  const config = await readModelConfig(folder);
  const weights = await openWeights(folder, outlines);
  refuseQuantised(folder, config, weights.tensors.values());
  const base = new Map([...weights.tensors].filter(([, info]) => !isDerived(info)));
  const warnings: string[] = [];
  if (weights.absent.length > 0) {
    const [first, ...others] = weights.absent;
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    warnings.push(`${name}: its index lists the tensor ${JSON.stringify(first)}${more}, which no file holds`);
  }
  const isTied = await tieHead(name, base, config, warnings);
  const { embedding } = anatomyOf(base, config);
  const adapter = adapterFolder === undefined ? undefined : await openAdapter(adapterFolder, outlines);
  const tensors: Map<string, InputTensor> =
    adapter === undefined ? base : adaptTensors(adapter, base, isTied ? embedding : undefined);
  const anatomy = anatomyOf(tensors, config);
  const bringsTokens =
    embedding !== undefined && adapter !== undefined && tensors.get(embedding)?.file === adapter.file;
  const files = adapter === undefined ? weights.files : [...weights.files, adapter.file];
  let digest: Promise<string> | undefined;
  return {
    name,
    folder,
    tokenizerFolder: bringsTokens && (await hasTokenizer(adapterFolder!)) ? adapterFolder! : folder,
    folders: adapterFolder === undefined ? [folder] : [folder, adapterFolder],
    config,
    files,
    byteLength: bytesOf(weights.tensors.values()),
    sha256: () => {
      digest ??= sha256OfFiles(files);
      return digest;
    },
    stored: weights.tensors,
    tensors,
    anatomy,
    isTied: isTied && anatomy.head === undefined,
    warnings,
  };
}

/** Takes a head out that is its embedding stored again; true where the embedding serves as head. */
async function tieHead(
  name: string,
  tensors: Map<string, TensorInfo>,
  config: JsonObject,
  warnings: string[],
): Promise<boolean> {
  const { embedding, head } = anatomyOf(tensors, config);
  if (embedding === undefined) return false;
  const flag = tiedFlag(config);
  if (head === undefined) return flag ?? (hasLanguageHead(config) || !config.has("architectures"));
  if (flag !== true) return false;
  if (await haveSameBytes(tensors.get(embedding)!, tensors.get(head)!)) return tensors.delete(head);
  warnings.push(
    `${name}: config.json says that head and embedding are one, but ${JSON.stringify(head)} is another tensor; it is merged as one`,
  );
  return false;
}

function bytesOf(tensors: Iterable<TensorInfo>): number {
  let total = 0;
  for (const { byteLength } of tensors) total += byteLength;
  return total;
}
