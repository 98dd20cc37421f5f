/**
 * Which tensors the output has, and from which tensors of which models each is merged. Whole models are merged by equal
 * names. Slices stack layers: those of the output are numbered anew, what comes before them follows the first slice,
 * and final norm and head follow the last. Whoever has no head of its own gives its embedding where others have one.
 */
import { inputError } from "../errors.ts";
import { canonicalJson } from "../formats/json-text.ts";
import type { TensorInfo } from "../formats/safetensors.ts";
import type { MergeConfig, MergeModel, MergeSlice, SliceSource } from "./config.ts";
import { holdsWholeNumbers } from "./inputs/buffers.ts";
import type { MergeInput } from "./inputs/input.ts";
import { depthOf, depthsOf, layerPlace } from "./layers.ts";
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
  /** Whole numbers, which are no weights: the first model's are taken as they are. */
  readonly isCopied: boolean;
}

/** A layer of the output: which layer of which model it is, the first source of its slice. */
export interface LayerOrigin {
  readonly input: MergeInput;
  readonly layer: number;
}

export interface Layout {
  readonly tensors: readonly TensorLayout[];
  /** Of slices. */
  readonly layers: readonly LayerOrigin[] | undefined;
  /** The head, where it is a tensor of its own. */
  readonly head: string | undefined;
}

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
  const ordered = [donor, ...all.map(({ model }) => inputs.get(model)!)];
  const names = tensorNames(ordered);
  const depth = depthsOf(names);
  const heads = ordered.map(({ anatomy }) => anatomy.head);
  const sourceOf = ({ model, parameters }: MergeModel, name: string): TensorSource => ({
    input: inputs.get(model)!,
    name: nameIn(inputs.get(model)!, name, heads),
    scopes: [{ parameters, tensor: name }],
  });
  const tensors = names.map((name): TensorLayout => {
    const shared = [{ parameters: config.parameters, tensor: name }];
    const merged = { name, depth: depth(name), shared, isCopied: false };
    const copied = ordered.find(({ tensors: theirs }) => isWholeNumbers(theirs.get(name)));
    if (copied !== undefined) {
      return { ...merged, models: [{ input: copied, name, scopes: [] }], base: undefined, isCopied: true };
    }
    return { ...merged, models: models.map((model) => sourceOf(model, name)), base: base && sourceOf(base, name) };
  });
  return { tensors, layers: undefined, head: names.find((name) => heads.includes(name)) };
}

function isWholeNumbers(tensor: TensorInfo | undefined): boolean {
  return tensor !== undefined && holdsWholeNumbers(tensor.dtype);
}

/** A model whose head is its embedding has no tensor of a head's name. */
function nameIn({ tensors, isTied, anatomy }: MergeInput, name: string, heads: readonly unknown[]): string {
  return isTied && !tensors.has(name) && heads.includes(name) ? anatomy.embedding! : name;
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
  for (const { tensors } of ordered) {
    for (const name of tensors.keys()) names.add(name);
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
    nameOf: (source: OpenSource) => string,
    most = slice.models.length,
  ): void => {
    const sourceOf = (source: OpenSource): TensorSource => {
      const tensor = nameOf(source);
      return { input: source.input, name: tensor, scopes: [{ parameters: source.parameters, tensor }] };
    };
    const shared = [slice.parameters, config.parameters].map((parameters) => ({ parameters, tensor: name }));
    const copied = slice.models.find((source) => isWholeNumbers(source.input.tensors.get(nameOf(source))));
    tensors.push(
      copied === undefined
        ? {
            name,
            depth,
            models: slice.models.slice(0, most).map(sourceOf),
            base: slice.base && sourceOf(slice.base),
            shared,
            isCopied: false,
          }
        : { name, depth, models: [sourceOf(copied)], base: undefined, shared, isCopied: true },
    );
  };
  const isAfter = (slice: OpenSlice, name: string): boolean =>
    sourcesOf(slice).some(({ input }) => input.tensors.has(name) && input.anatomy.isAfterLayers(name));
  for (const name of namesOutside(first)) if (!isAfter(first, name)) add(first, name, 0, () => name);
  const layers: LayerOrigin[] = [];
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
      const { input, firstLayer } = slice.models[0]!;
      layers.push({ input, layer: firstLayer + layer });
    }
  }
  // mergekit takes as many sources of the last slice as the first has.
  const most = likeMergekit ? first.models.length : undefined;
  const head = headOf(last);
  const after = namesAfter(first, last, isAfter);
  for (const name of after) add(last, name, 0, ({ input }) => nameIn(input, name, [head]), most);
  return { tensors, layers, head: after.find((name) => name === head) };
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

/** What follows the last slice; its head too where it is tied to another embedding than that of the first slice. */
function namesAfter(first: OpenSlice, last: OpenSlice, isAfter: (slice: OpenSlice, name: string) => boolean): string[] {
  const names = namesOutside(last).filter((name) => isAfter(last, name));
  const head = headOf(last);
  const isTied = sourcesOf(last).every(({ input }) => input.isTied);
  return isTied && head !== undefined && embeddingKey(first) !== embeddingKey(last) ? [...names, head] : names;
}

/** What decides the embedding that a slice gives. */
function embeddingKey(slice: OpenSlice): string {
  const sources = sourcesOf(slice).map(({ input, parameters }) => [input.name, parameters ?? null]);
  return canonicalJson([sources, slice.parameters ?? null]);
}

/** The name of a slice's head, where all models are tied the one that their classes give it. */
function headOf(slice: OpenSlice): string | undefined {
  const { anatomy, isTied } = slice.models[0]!.input;
  const own = sourcesOf(slice).map(({ input }) => input.anatomy.head);
  return own.find((name) => name !== undefined) ?? (isTied ? headBeside(anatomy.embedding!) : undefined);
}

/** `language_model.model.embed_tokens.weight` goes with `language_model.lm_head.weight`. */
function headBeside(embedding: string): string {
  const outer = /^(.*\.)?(?:model|transformer)\.[^.]+\.weight$/.exec(embedding)?.[1] ?? "";
  return `${outer}lm_head.weight`;
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
  const { stack, layers } = input.anatomy;
  if (stack === undefined || end > layers) {
    throw inputError(input.name, `expected a layer_range within its ${layers} layers, found [${first}, ${end}]`);
  }
  const rests = Array.from({ length: end - first }, (): string[] => []);
  for (const name of input.tensors.keys()) {
    const place = layerPlace(name);
    if (place?.stack !== stack) continue;
    rests[place.layer - first]?.push(place.rest);
  }
  return { input, parameters, stack, firstLayer: first, rests };
}
