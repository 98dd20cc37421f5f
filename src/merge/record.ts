/**
 * What a finished merge says of itself: `merge.json` for programs (and for recognising the same merge when it is asked
 * for again), of which the model card is made. It holds the configuration, the hashes of the inputs and, where the method
 * computes them, the coefficients of every tensor.
 */
import { createHash } from "node:crypto";
import { basename, isAbsolute } from "node:path";
import { canonicalJson } from "../formats/json-text.ts";
import { hubNameOf } from "../hub/id.ts";
import { type Program, programOf } from "../version.ts";
import type { MergeConfig } from "./config.ts";
import type { MergeInput } from "./inputs/input.ts";
import { layerOf } from "./layers.ts";
import { withModelNames } from "./model-names.ts";
import type { MergePlan } from "./plan.ts";
import { outputShape } from "./tensor-plan.ts";
import type { TensorReport } from "./tensor-work.ts";

export const RECORD_FILE = "merge.json";

export interface InputRecord {
  readonly model: string;
  /** Over the weight files' bytes, in name order. */
  readonly weights_sha256: string;
}

export interface TensorRecord {
  readonly name: string;
  readonly shape: readonly number[];
  /** The layer in the name, or null outside of the layers. */
  readonly layer: number | null;
  /** The name without layer and what is around it, such as `self_attn.q_proj`. */
  readonly matrix: string;
  /** Of slices: the models that this tensor was merged from. */
  readonly models?: readonly string[];
  /** One per model, in the order of `models`. */
  readonly coefficients?: readonly number[];
  /** Entries of each model, and behind them of a base, that were NaN or infinite and were replaced. */
  readonly repaired?: readonly number[];
  /** Of its bytes. */
  readonly sha256: string;
}

export interface MergeRecord {
  readonly format: "fusechat-merge-1";
  /** Who merged; no part of what makes two merges the same. */
  readonly program: Program;
  readonly method: string;
  readonly like: "mergekit" | null;
  readonly config: Omit<MergeConfig, "warnings">;
  /** The merged models. */
  readonly models: readonly InputRecord[];
  readonly base_model: InputRecord | null;
  /** Where the config comes from, and unless the configuration says otherwise tokenizer and template. */
  readonly donor: string;
  readonly tensors: readonly TensorRecord[];
}

/** What makes two merges the same. */
export type MergeIdentity = Pick<MergeRecord, "format" | "method" | "like" | "config" | "models" | "base_model">;

/**
 * `sha256` gives the hash of an input; without it all inputs are read. Absolute paths are left out: the same inputs
 * elsewhere give the same bytes.
 */
export async function identify(
  plan: MergePlan,
  likeMergekit: boolean,
  sha256?: ReadonlyMap<string, string>,
): Promise<MergeIdentity> {
  const { warnings: _, models, ...rest } = plan.config;
  const config = models.length === 0 ? rest : { models, ...rest };
  const names = publicNames(plan);
  const hashed = async ({ name, sha256: ownSha256 }: MergeInput): Promise<InputRecord> => ({
    model: names(name),
    weights_sha256: sha256?.get(name) ?? (await ownSha256()),
  });
  const records: InputRecord[] = [];
  for (const input of plan.models) records.push(await hashed(input));
  return {
    format: "fusechat-merge-1",
    method: plan.method.name,
    like: likeMergekit ? "mergekit" : null,
    config: withModelNames(config, names) as MergeIdentity["config"],
    models: records,
    base_model: plan.base === undefined ? null : await hashed(plan.base),
  };
}

/** How records call a model: one of the Hub by its commit, one that was given by its whole path by its last part. */
function publicNames({ models, base, vocabulary, config }: MergePlan): (name: string) => string {
  const ofHub = new Map<string, string>();
  for (const { name, folders } of base === undefined ? models : [...models, base]) {
    if (!folders.some((folder) => hubNameOf(folder) !== undefined)) continue;
    const parts = name.split("+");
    const written = (index: number): string =>
      pathless(parts.length === folders.length ? parts[index]! : folders[index]!);
    ofHub.set(name, folders.map((folder, index) => hubNameOf(folder) ?? written(index)).join("+"));
  }
  const tokenizer = vocabulary === undefined ? undefined : hubNameOf(vocabulary.folder);
  const source = config.tokenizer?.source;
  if (tokenizer !== undefined && source !== undefined && !ofHub.has(source) && !WORDS.includes(source)) {
    ofHub.set(source, tokenizer);
  }
  return (name) => ofHub.get(name) ?? pathless(name);
}

/** Values of `tokenizer.source` that are no models. */
const WORDS = ["base", "union"];

function pathless(model: string): string {
  // Both folders of base+adapter; a plus within one name stays where it was.
  return model
    .split("+")
    .map((part) => (isAbsolute(part) ? basename(part) : part))
    .join("+");
}

export function recordOf(identity: MergeIdentity, plan: MergePlan, reports: readonly TensorReport[]): MergeRecord {
  const names = publicNames(plan);
  const tensors = plan.tensors.map((tensor, index): TensorRecord => {
    const { name } = tensor;
    const { coefficients, repaired, sha256 } = reports[index]!;
    return {
      name,
      shape: outputShape(tensor),
      layer: layerOf(name) ?? null,
      matrix: matrixOf(name),
      ...((coefficients ?? repaired) &&
        plan.config.slices && { models: tensor.models.map(({ input }) => names(input)) }),
      ...(coefficients && { coefficients }),
      ...(repaired && { repaired }),
      sha256,
    };
  });
  const { format, ...settings } = identity;
  return { format, program: programOf("merge"), ...settings, donor: names(plan.donor.name), tensors };
}

/** `model.layers.3.self_attn.q_proj.weight` is the matrix `self_attn.q_proj`; a bias keeps its ending. */
export function matrixOf(name: string): string {
  const parts = name.split(".");
  const layer = parts.findIndex((part) => /^\d+$/.test(part));
  const within = layer >= 0 ? parts.slice(layer + 1) : parts[0] === "model" ? parts.slice(1) : parts;
  if (within.at(-1) === "weight" && within.length > 1) within.pop();
  return within.join(".");
}

/** What was repaired of every input: a sentence each. */
export function repairsOf({ tensors }: MergePlan, reports: readonly TensorReport[]): string[] {
  const found = new Map<string, { entries: number; tensors: number; first: string }>();
  for (const [index, { repaired = [] }] of reports.entries()) {
    const { models, base, name } = tensors[index]!;
    const inputs = base === undefined ? models : [...models, base];
    for (const [j, entries] of repaired.entries()) {
      if (entries === 0) continue;
      const { input } = inputs[j]!;
      const seen = found.get(input) ?? { entries: 0, tensors: 0, first: name };
      found.set(input, { ...seen, entries: seen.entries + entries, tensors: seen.tensors + 1 });
    }
  }
  return [...found].map(([input, { entries, tensors: count, first }]) => {
    const where = count === 1 ? "" : ` and in ${count - 1} more tensors`;
    return `${input}: NaN and infinite entries were replaced, ${entries} of them, in ${JSON.stringify(first)}${where}`;
  });
}

/** What the method said of tensors: every remark once, with the first tensor and how many more there are. */
export function tensorRemarks({ tensors }: MergePlan, reports: readonly TensorReport[]): string[] {
  const found = new Map<string, { readonly first: string; count: number }>();
  for (const [index, { remark }] of reports.entries()) {
    if (remark === undefined) continue;
    const seen = found.get(remark) ?? { first: tensors[index]!.name, count: 0 };
    seen.count += 1;
    found.set(remark, seen);
  }
  return [...found].map(([remark, { first, count }]) => {
    const more = count === 1 ? "" : ` and ${count - 1} more tensors`;
    return `${JSON.stringify(first)}${more}: ${remark}`;
  });
}

/** Key order does not matter in a configuration, so neither does it here. */
export function sameIdentity(a: MergeIdentity, b: unknown): boolean {
  return digest(a) === digest(b);
}

function digest(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}
