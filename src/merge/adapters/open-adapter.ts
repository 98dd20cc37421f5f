/**
 * A LoRA adapter on its base: which tensors of the base it adds a product to, and which it replaces. Nothing is written
 * in between: the products are computed as the tensors are read. Names are peft's, `base_model.model.MODULE.lora_A`.
 */
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { exists } from "../../formats/files.ts";
import type { TensorInfo } from "../../formats/safetensors.ts";
import { headerOf, NO_OUTLINES, type Outlines } from "../../formats/weights.ts";
import { ADAPTER_WEIGHTS } from "../../models/hub-files.ts";
import { mergeDtypeOf } from "../dtypes.ts";
import type { InputTensor, LoraUpdate } from "./adapted.ts";
import { type AdapterConfig, readAdapterConfig } from "./adapter-config.ts";

const PICKLED = "adapter_model.bin";

export interface Adapter {
  readonly config: AdapterConfig;
  readonly file: string;
  /** By the name of the module within the model. */
  readonly modules: ReadonlyMap<string, ModuleParts>;
  /** Tensors that take the place of the base's, by name within the model. */
  readonly replaced: ReadonlyMap<string, TensorInfo>;
}

/** The matrices of a module, by the part of their names that says which they are. */
type ModuleParts = ReadonlyMap<string, TensorInfo>;

const MODULE =
  /^(.+?)\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)(?:\.default)?(?:\.weight)?$/;
/** Words that peft puts between a module and its weight. */
const WRAPPERS = /\.(modules_to_save|base_layer|original_module)(\.default)?(?=\.)/g;

export async function openAdapter(folder: string, outlines: Outlines = NO_OUTLINES): Promise<Adapter> {
  const config = await readAdapterConfig(folder);
  const file = join(folder, ADAPTER_WEIGHTS);
  if (!outlines.has(file) && !(await exists(file))) {
    const found = (await exists(join(folder, PICKLED))) ? PICKLED : "neither";
    throw inputError(
      folder,
      `expected the weights of the LoRA adapter in ${ADAPTER_WEIGHTS}, found ${found}; pickled ones are never opened`,
    );
  }
  const { tensors } = await headerOf(file, outlines);
  const modules = new Map<string, Map<string, TensorInfo>>();
  const replaced = new Map<string, TensorInfo>();
  for (const [key, info] of tensors) {
    const name = key.replace(/^base_model\.model\./, "");
    const [, module, part] = MODULE.exec(name) ?? [];
    if (mergeDtypeOf(info.dtype) === undefined) {
      throw inputError(
        `${file}: ${JSON.stringify(key)}`,
        `expected floating-point weights of a LoRA adapter, found ${info.dtype}`,
      );
    }
    if (module === undefined) {
      if (/lora_|token_adapter|trainable_tokens/.test(name)) {
        throw inputError(
          `${file}: ${JSON.stringify(key)}`,
          "is no part of a LoRA adapter that can be merged here; merge it with peft first",
        );
      }
      replaced.set(name.replace(WRAPPERS, ""), info);
      continue;
    }
    const plain = module.replace(WRAPPERS, "").replace(/\.(modules_to_save|base_layer)$/, "");
    const parts = modules.get(plain) ?? new Map();
    modules.set(plain, parts.set(part!.replace("embedding_", ""), info));
    if (part!.startsWith("lora_embedding")) parts.set("embedding", info);
  }
  if (modules.size + replaced.size === 0)
    throw inputError(file, "expected the matrices of a LoRA adapter, found no tensors");
  return { config, file, modules, replaced };
}

/** The base's tensors with what the adapter adds; `tied` is the embedding of a base whose head it is. */
export function adaptTensors(
  { config, file, modules, replaced }: Adapter,
  base: ReadonlyMap<string, TensorInfo>,
  tied: string | undefined,
): Map<string, InputTensor> {
  const result = new Map<string, InputTensor>(base);
  const nameIn = createNames([...base.keys()], tied, file);
  for (const [name, info] of replaced) {
    const own = nameIn(name);
    keepHead(result, tied, own);
    result.set(own, { ...info, name: own });
  }
  for (const [module, parts] of modules) {
    const own = nameIn(`${module}.weight`);
    keepHead(result, tied, own);
    const stored = result.get(own) ?? base.get(tied!)!;
    result.set(own, { ...stored, update: updateOf(module, parts, stored, { config, file }) });
  }
  return result;
}

/** The head of a tied base whose embedding alone is adapted stays what it was, a tensor of its own. */
function keepHead(tensors: Map<string, InputTensor>, tied: string | undefined, name: string): void {
  if (name === tied && !tensors.has(HEAD)) tensors.set(HEAD, tensors.get(tied)!);
}

const HEAD = "lm_head.weight";

/** Names of the adapter's class to those of the base, which may have been saved with or without a prefix. */
function createNames(base: readonly string[], tied: string | undefined, file: string): (name: string) => string {
  const bySuffix = new Map<string, string | null>();
  for (const name of base) {
    for (const suffix of suffixesOf(name)) bySuffix.set(suffix, bySuffix.has(suffix) ? null : name);
  }
  const known = new Set(base);
  return (name) => {
    if (known.has(name) || (name === HEAD && tied !== undefined)) return name;
    for (const rest of suffixesOf(name)) {
      const found = known.has(rest) ? rest : bySuffix.get(rest);
      if (found) return found;
    }
    throw inputError(
      file,
      `the LoRA adapter changes ${JSON.stringify(name)}, which its base does not have; is it the right base?`,
    );
  };
}

/** Longest difference of prefixes, in words. */
const MOST_WORDS = 2;

/** The name, and what is left of it without its first words: a module and its weight at least, and its layer's number. */
function suffixesOf(name: string): string[] {
  const suffixes = [name];
  for (let rest = name, words = 0; words < MOST_WORDS; words++) {
    rest = rest.slice(rest.indexOf(".") + 1);
    if (!/^[^\d.][^.]*\../.test(rest)) break;
    suffixes.push(rest);
  }
  return suffixes;
}

function updateOf(
  module: string,
  parts: ModuleParts,
  stored: TensorInfo,
  { config, file }: Pick<Adapter, "config" | "file">,
): LoraUpdate {
  const where = `${file}: ${JSON.stringify(module)}`;
  const [a, b, magnitude] = ["lora_A", "lora_B", "lora_magnitude_vector"].map((part) => parts.get(part));
  if (a === undefined || b === undefined) {
    throw inputError(where, `expected the LoRA matrices A and B, found only ${a === undefined ? "B" : "A"}`);
  }
  if (a.shape.length !== 2 || b.shape.length !== 2 || stored.shape.length !== 2) {
    throw inputError(where, "LoRA of convolutions is not supported; merge this adapter with peft first");
  }
  const [rank, columns] = a.shape as [number, number];
  const [rows, otherRank] = b.shape as [number, number];
  const fits = (shape: readonly number[]): boolean => shape.join() === stored.shape.join();
  const isPlain = fits([rows, columns]);
  const isTurned = fits([columns, rows]);
  if (rank !== otherRank || rank === 0 || (!isPlain && !isTurned)) {
    const shapes = [a, b, stored].map(({ shape }) => `[${shape.join(", ")}]`);
    throw inputError(
      where,
      `expected LoRA matrices A and B that fit on the base's, found ${shapes[0]} and ${shapes[1]} for ${shapes[2]}`,
    );
  }
  // An embedding, or GPT-2's layers, which are stored the other way round.
  const transposed = !isPlain || (isTurned && (config.isFanInFanOut || parts.has("embedding")));
  if (magnitude !== undefined && (transposed || magnitude.shape.join() !== String(rows))) {
    throw inputError(
      where,
      "DoRA of an embedding or of a layer stored the other way round is not supported; merge this adapter with peft first",
    );
  }
  if (config.isDora && magnitude === undefined)
    throw inputError(where, "use_dora is set, but the magnitudes of DoRA are missing");
  const scale = config.scaleOf(module, rank);
  return transposed
    ? { left: { info: a, isTransposed: true }, right: { info: b, isTransposed: true }, scale, magnitude }
    : { left: { info: b, isTransposed: false }, right: { info: a, isTransposed: false }, scale, magnitude };
}
