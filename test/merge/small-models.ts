/** Models of a few numbers, written and merged in a folder of their own. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readJson } from "#src/formats/files.js";
import { readSafetensors, type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { mergeModels } from "#src/merge/merge.js";
import { checkMergeConfig } from "#src/merge/read-config.js";
import type { ReporterEvent } from "#src/reporter.js";

/** A tensor, or the shape of one that is filled with the model's value. */
export type Content = Tensor | readonly number[];

export interface Merged {
  readonly out: string;
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The first entry of every tensor. */
  readonly values: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
  json(file: string): Promise<Record<string, unknown>>;
}

export interface SmallModels {
  readonly folder: string;
  /** Files besides the weights: text as it is, all else as JSON; `{}` is the config where none is given. */
  model(name: string, value: number, tensors: Readonly<Record<string, Content>>, files?: Files): Promise<void>;
  merge(config: object): Promise<Merged>;
  /** The message of a merge that is refused. */
  refusal(config: object): Promise<string>;
  remove(): Promise<void>;
}

export type Files = Readonly<Record<string, unknown>>;

export async function smallModels(): Promise<SmallModels> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-small-models-"));
  let number = 0;
  const merge = async (config: object): Promise<Merged> => {
    const out = join(folder, `out-${number++}`);
    const warnings: string[] = [];
    const report = (event: ReporterEvent): void => void (event.type === "warning" && warnings.push(event.message));
    await mergeModels(checkMergeConfig(config, "test"), { out, baseFolder: folder }, { reporter: { report } });
    const { tensors } = await readSafetensors(join(out, "model.safetensors"));
    const values = Object.fromEntries([...tensors].map(([name, { data }]) => [name, Number(data[0])]));
    const json = async (file: string) => (await readJson(join(out, file))) as Record<string, unknown>;
    return { out, tensors, values, warnings, json };
  };
  return {
    folder,
    merge,
    model: async (name, value, tensors, files = {}) => {
      await mkdir(join(folder, name), { recursive: true });
      const written = Object.entries(tensors).map(([key, content]): [string, Tensor] => [
        key,
        "dtype" in content ? content : filled(value, content),
      ]);
      await writeSafetensors(join(folder, name, "model.safetensors"), written);
      for (const [file, content] of Object.entries({ "config.json": {}, ...files })) {
        const path = join(folder, name, file);
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
      }
    },
    refusal: (config) =>
      merge(config).then(
        () => "not refused",
        (error: Error) => error.message.replaceAll(`${folder}/`, ""),
      ),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Every entry is the value, but for a last one of half of it, so that two tensors are seldom alike. */
export function filled(value: number, shape: readonly number[]): Tensor {
  const size = shape.reduce((product, extent) => product * extent, 1);
  const data = new Float32Array(size).fill(value);
  data[size - 1] = size > 1 ? value / 2 : value;
  return { dtype: "F32", shape, data };
}

export function bytes(dtype: "U8" | "BOOL", shape: readonly number[]): Tensor {
  return { dtype, shape, data: new Uint8Array(shape.reduce((product, extent) => product * extent, 1)) };
}

/** The weights of a small decoder: 20 tokens, 8 wide. */
export function decoder(
  layers: number,
  { width = 8, rows = 20, head = true, prefix = "model." } = {},
): Record<string, Content> {
  const tensors: Record<string, Content> = { [`${prefix}embed_tokens.weight`]: [rows, width] };
  for (let layer = 0; layer < layers; layer++) {
    tensors[`${prefix}layers.${layer}.mlp.up_proj.weight`] = [2 * width, width];
    tensors[`${prefix}layers.${layer}.input_layernorm.weight`] = [width];
  }
  tensors[`${prefix}norm.weight`] = [width];
  if (head) tensors["lm_head.weight"] = [rows, width];
  return tensors;
}

export function configOf(config: object): Files {
  return { "config.json": { architectures: ["LlamaForCausalLM"], model_type: "llama", vocab_size: 20, ...config } };
}

export const linear = (...models: readonly string[]) => ({
  merge_method: "linear",
  parameters: { weight: 1 },
  models: models.map((model) => ({ model })),
});

/** Slices of a model each. */
export const stack = (...slices: readonly (readonly [string, readonly [number, number]])[]) => ({
  merge_method: "passthrough",
  slices: slices.map(([model, layer_range]) => ({ sources: [{ model, layer_range }] })),
});
