/**
 * Which tensor of a model is what, as far as merging must know: the stack of layers that slices cut, the tensors with a
 * row for every token, embedding and head among them, and what comes before and after the layers. Tensors are known by
 * where they stand and by their shapes; their names, which differ from one architecture to the next, only decide where
 * shapes leave it open.
 */
import type { JsonObject } from "../../formats/json-document.ts";
import type { TensorInfo } from "../../formats/safetensors.ts";
import { countLayers, layerPlace, mainStack } from "../layers.ts";
import { wholeNumbers } from "./model-config.ts";

export interface Anatomy {
  /** The stack that holds most of the weights; undefined where nothing has layers. */
  readonly stack: string | undefined;
  /** Of that stack. */
  readonly layers: number;
  /** Tensors with a row for every token id, by name. */
  readonly vocabulary: ReadonlySet<string>;
  readonly embedding: string | undefined;
  /** Of its own; a tied head has none. */
  readonly head: string | undefined;
  /** True of the final norm and what follows it; all else outside of the layers comes before them. */
  isAfterLayers(name: string): boolean;
}

/** True of tables that are looked up row by row: of tokens, positions, kinds of text. */
export function isLookedUp(name: string): boolean {
  return layerPlace(name) === undefined && (EMBEDS.test(name) || KNOWN_EMBEDDING.test(name));
}

type Shaped = Pick<TensorInfo, "shape" | "byteLength">;

/** Words of embeddings: what has a row for every token and none of these words is a head. */
const EMBEDS = /embed(?!_out)|(^|\.)(wte|wpe|shared)\.|tok_emb|word_emb/i;
const KNOWN_EMBEDDING = /(^|\.)(embed_tokens|tok_embeddings|wte|word_embeddings|embed_in|shared)\.weight$/;
const KNOWN_HEAD = /(^|\.)(lm_head|embed_out)\.(weight|bias)$|^output\.(weight|bias)$/;
/** What may have as many rows as there are tokens, and has other rows. */
const OTHER_ROWS = /position|wpe|token_type|segment|pooler|project|norm|(^|\.)ln/i;
/** Heads of all kinds, wherever they stand. */
const KNOWN_AFTER =
  /(^|\.)(norm|final_\w*norm\w*|ln_f|lm_head|embed_out|output|score|classifier|head|pooler|cls|project_out)(\.\w+)*\.(weight|bias)$/;

export function anatomyOf(tensors: ReadonlyMap<string, Shaped>, config: JsonObject): Anatomy {
  const stack = mainStack(tensors);
  const outside = new Map([...tensors].filter(([name]) => layerPlace(name) === undefined));
  const vocabulary = vocabularyTensors(outside, config);
  const parent = stack === undefined ? undefined : stack.slice(0, Math.max(0, stack.lastIndexOf(".")));
  const isAfterLayers = (name: string): boolean => {
    if (KNOWN_AFTER.test(name)) return true;
    const tensor = outside.get(name);
    if (tensor === undefined || EMBEDS.test(name)) return false;
    if (vocabulary.has(name)) return true;
    // A norm beside the layers, within the same module: the final one, whatever it is called.
    return tensor.shape.length === 1 && moduleOf(moduleOf(name)) === parent;
  };
  const tables = [...vocabulary].filter((name) => !name.endsWith("bias"));
  const heads = tables.filter(isAfterLayers);
  const embeddings = tables.filter((name) => !heads.includes(name));
  return {
    stack,
    layers: stack === undefined ? 0 : countLayers(tensors.keys()).get(stack)!,
    vocabulary,
    embedding: best(embeddings, KNOWN_EMBEDDING),
    head: best(heads, KNOWN_HEAD),
    isAfterLayers,
  };
}

/** The only one, else the shortest of those whose names are known. */
function best(names: readonly string[], known: RegExp): string | undefined {
  if (names.length <= 1) return names[0];
  return names.filter((name) => known.test(name)).sort((a, b) => a.length - b.length || (a < b ? -1 : 1))[0];
}

/** Those with as many rows as the config has tokens; without a word of it, as the largest table has rows. */
function vocabularyTensors(outside: ReadonlyMap<string, Shaped>, config: JsonObject): ReadonlySet<string> {
  const isKnown = (name: string): boolean => KNOWN_EMBEDDING.test(name) || KNOWN_HEAD.test(name);
  const matrices = [...outside].filter(([name, { shape }]) => shape.length === 2 && !OTHER_ROWS.test(name));
  const told = wholeNumbers(config, /vocab_size/).filter((rows) => matrices.some(([, { shape }]) => shape[0] === rows));
  const known = matrices.filter(([name]) => isKnown(name)).map(([, { shape }]) => shape[0]!);
  const largest = matrices.reduce((most, [, { shape }]) => Math.max(most, shape[0]!), 0);
  const rows = new Set([...told, ...(told.length > 0 || known.length > 0 ? known : [largest])]);
  const widths = new Set(matrices.filter(([, { shape }]) => rows.has(shape[0]!)).map(([, { shape }]) => shape[1]!));

  const found = new Set<string>();
  for (const [name, { shape }] of outside) {
    const count = shape[0] ?? 0;
    if (isKnown(name)) found.add(name);
    if (!rows.has(count) || OTHER_ROWS.test(name)) continue;
    // Where a model is as wide as its vocabulary is large only names can tell.
    const isClear = !widths.has(count) || EMBEDS.test(name);
    if (shape.length === 2 && isClear) found.add(name);
    const sibling = outside.get(name.replace(/bias$/, "weight"));
    const isOwnBias =
      sibling === undefined ? !widths.has(count) : sibling.shape.length === 2 && sibling.shape[0] === count;
    if (shape.length === 1 && name.endsWith("bias") && isOwnBias) found.add(name);
  }
  return found;
}

function moduleOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf(".")));
}
