/**
 * Which tensors the output has, and from which tensors of which models each is merged. Whole models are merged by equal
 * names. Slices stack layers: those of the output are numbered anew, what comes before them follows the first slice,
 * and final norm and head follow the last.
 */
import { inputError } from "../errors.ts";
import type { MergeConfig, MergeModel, MergeSlice, SliceSource } from "./config.ts";
import type { MergeInput } from "./inputs.ts";
import { countLayers, depthOf, depthsOf, isAfterLayers, layerPlace, mainStack } from "./layers.ts";
import type { MergeMethod } from "./method.ts";
import type { Scopes } from "./options.ts";
import type { Depth, Parameters } from "./parameters.ts";

export interface TensorSource {
  readonly input: MergeInput;
  /** The tensor's name there. */
  readonly name: string;
  /** The model's own settings. */
  readonly scopes: Scopes;
}

export interface TensorLayout {
  /** In the output. */
  readonly name: string;
  readonly depth: Depth;
  readonly models: readonly TensorSource[];
  /** What they differ from, for a method that has such a base. */
  readonly base: TensorSource | undefined;
  /** Settings for all models, innermost first. */
  readonly shared: Scopes;
}

export interface Layout {
  readonly tensors: readonly TensorLayout[];
  /** Of slices: for every layer of the output, which layer of its first source it is. */
  readonly layers: readonly number[] | undefined;
}

/** Tables and counters that follow from the config, or serve training alone; nothing reads them. */
const DERIVED = /(\.rotary_emb\.inv_freq|(^|\.)position_ids|\.attn\.masked_bias|\.num_batches_tracked)$/;

/** `donor` is the input whose files come first in the order of the output. */
export function layOut(
  config: MergeConfig,
  method: MergeMethod,
  inputs: ReadonlyMap<string, MergeInput>,
  donor: MergeInput,
  likeMergekit: boolean,
): Layout {
  const { slices } = config;
  if (slices !== undefined) return layOutSlices({ ...config, slices }, method, inputs, likeMergekit);
  const { models, base } = rolesOf(method, config.models, config.base_model);
  const all = base === undefined ? models : [base, ...models];
  const names = tensorNames([donor, ...all.map(({ model }) => inputs.get(model)!)]);
  const depth = depthsOf(names);
  const sourceOf = ({ model, parameters }: MergeModel, name: string): TensorSource => ({
    input: inputs.get(model)!,
    name,
    scopes: [{ parameters, tensor: name }],
  });
  const tensors = names.map((name) => ({
    name,
    depth: depth(name),
    models: models.map((model) => sourceOf(model, name)),
    base: base && sourceOf(base, name),
    shared: [{ parameters: config.parameters, tensor: name }],
  }));
  return { tensors, layers: undefined };
}

/** Who of the listed models, and of a base that is not listed, is merged, and who is the base that they differ from. */
export function rolesOf<M extends MergeModel>(
  method: MergeMethod,
  listed: readonly M[],
  baseModel: string | undefined,
  unlisted?: M,
): { models: readonly M[]; base: M | undefined } {
  if (baseModel === undefined) return { models: listed, base: undefined };
  const base = listed.find(({ model }) => model === baseModel) ?? unlisted ?? ({ model: baseModel } as M);
  const others = listed.filter((model) => model !== base);
  if (method.base === "origin" || method.base === "optional") return { models: others, base };
  if (method.base === "first") return { models: [base, ...others], base: undefined };
  return { models: listed.includes(base) ? listed : [...listed, base], base: undefined };
}

/** Those of the first model in the order of its files, then those that only others have. */
function tensorNames(ordered: readonly MergeInput[]): string[] {
  const names = new Set<string>();
  for (const { weights } of ordered) {
    for (const name of weights.tensors.keys()) if (!DERIVED.test(name)) names.add(name);
  }
  return [...names];
}

/** A slice with everything that does not depend on the tensor. */
interface OpenSlice {
  readonly models: readonly OpenSource[];
  readonly base: OpenSource | undefined;
  readonly parameters: Parameters | undefined;
  readonly layers: number;
}

interface OpenSource {
  readonly input: MergeInput;
  readonly parameters: Parameters | undefined;
  readonly stack: string;
  readonly firstLayer: number;
  /** The slice's tensors, by layer within the slice: what follows the layer's number in their names. */
  readonly rests: readonly (readonly string[])[];
}

function layOutSlices(
  config: MergeConfig & { readonly slices: readonly MergeSlice[] },
  method: MergeMethod,
  inputs: ReadonlyMap<string, MergeInput>,
  likeMergekit: boolean,
): Layout {
  const slices = config.slices.map((slice) => openSlice(slice, config.base_model, method, inputs));
  const first = slices[0]!;
  const last = slices.at(-1)!;
  const tensors: TensorLayout[] = [];
  const add = (
    slice: OpenSlice,
    name: string,
    depth: Depth,
    nameIn: (source: OpenSource) => string,
    most = 0,
  ): void => {
    const sourceOf = (source: OpenSource): TensorSource => {
      const tensor = nameIn(source);
      return { input: source.input, name: tensor, scopes: [{ parameters: source.parameters, tensor }] };
    };
    const scopes = [slice.parameters, config.parameters];
    tensors.push({
      name,
      depth,
      models: (most === 0 ? slice.models : slice.models.slice(0, most)).map(sourceOf),
      base: slice.base && sourceOf(slice.base),
      shared: scopes.map((parameters) => ({ parameters, tensor: name })),
    });
  };
  for (const name of namesOutside(first)) if (!isAfterLayers(name)) add(first, name, 0, () => name);
  const layers: number[] = [];
  for (const slice of slices) {
    for (let layer = 0; layer < slice.layers; layer++) {
      const rests = new Set(sourcesOf(slice).flatMap((source) => source.rests[layer]!));
      for (const rest of rests) {
        const name = `${first.models[0]!.stack}.${layers.length}.${rest}`;
        add(
          slice,
          name,
          depthOf(layer, slice.layers),
          (source) => `${source.stack}.${source.firstLayer + layer}.${rest}`,
        );
      }
      layers.push(slice.models[0]!.firstLayer + layer);
    }
  }
  // mergekit takes as many sources of the last slice as the first has.
  const most = likeMergekit ? first.models.length : 0;
  for (const name of namesOutside(last)) if (isAfterLayers(name)) add(last, name, 0, () => name, most);
  return { tensors, layers };
}

function sourcesOf({ models, base }: OpenSlice): readonly OpenSource[] {
  return base === undefined ? models : [...models, base];
}

/** Tensors outside of the layers that are cut. */
function namesOutside(slice: OpenSlice): string[] {
  const stack = slice.models[0]!.stack;
  const names = tensorNames(sourcesOf(slice).map(({ input }) => input));
  return names.filter((name) => layerPlace(name)?.stack !== stack);
}

function openSlice(
  slice: MergeSlice,
  baseModel: string | undefined,
  method: MergeMethod,
  inputs: ReadonlyMap<string, MergeInput>,
): OpenSlice {
  const name = slice.base_model ?? baseModel;
  const { layer_range: range } = slice.sources[0]!;
  // A base that is not listed has the layers of the first source.
  const unlisted = name === undefined ? undefined : { model: name, layer_range: range };
  const { models, base } = rolesOf<SliceSource>(method, slice.sources, name, unlisted);
  const open = (source: SliceSource): OpenSource => openSource(source, inputs.get(source.model)!);
  return {
    models: models.map(open),
    base: base && open(base),
    parameters: slice.parameters,
    layers: range[1] - range[0],
  };
}

function openSource({ parameters, layer_range: [first, end] }: SliceSource, input: MergeInput): OpenSource {
  const names = tensorNames([input]);
  const stack = mainStack(input.weights.tensors);
  const layers = stack === undefined ? 0 : countLayers(names).get(stack)!;
  if (stack === undefined || end > layers) {
    throw inputError(input.name, `expected a layer_range within its ${layers} layers, found [${first}, ${end}]`);
  }
  const rests = Array.from({ length: end - first }, (): string[] => []);
  for (const name of names) {
    const place = layerPlace(name);
    if (place?.stack !== stack) continue;
    rests[place.layer - first]?.push(place.rest);
  }
  return { input, parameters, stack, firstLayer: first, rests };
}
