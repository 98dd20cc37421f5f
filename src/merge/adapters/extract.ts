/**
 * The way back: the LoRA adapter nearest to what a model differs from its base by. Each matrix's update is cut to its
 * largest singular values (Eckart and Young 1936: no product of that rank is nearer); norms, and vocabularies of other
 * sizes, are saved whole. Files are peft's, and every matrix's error is told.
 */
import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { inputError, throwIfInterrupted } from "../../errors.ts";
import { fileError, writeFileAtomic, writeJson } from "../../formats/files.ts";
import { renameForGood } from "../../formats/folders.ts";
import { type Tensor, writeSafetensors } from "../../formats/safetensors.ts";
import { hubNameOf } from "../../hub/id.ts";
import { findModel, type HubFolder } from "../../models/reference.ts";
import type { ExecuteContext } from "../execute.ts";
import { isLookedUp } from "../inputs/anatomy.ts";
import type { MergeInput } from "../inputs/input.ts";
import { hasLanguageHead } from "../inputs/model-config.ts";
import { openInput } from "../inputs/open.ts";
import { withNamesOf } from "../inputs/prefixes.ts";
import { createEntryReader, type ReadEntries } from "../read-entries.ts";
import { openWeightFiles } from "../read-tensor.ts";
import { storedTensor } from "../stored-tensor.ts";
import { truncatedSvd } from "./truncated-svd.ts";

export interface ExtractOptions {
  /** Folders; relative ones are looked up from `baseFolder`, then from the current folder. */
  readonly base: string;
  readonly model: string;
  readonly rank: number;
  readonly out: string;
  readonly baseFolder?: string;
  /** Gives models of the Hub; without it they are refused. */
  readonly hub?: HubFolder | undefined;
}

export interface MatrixError {
  readonly module: string;
  /** Of what the adapter holds of it; the adapter's own, but for matrices with fewer rows or columns. */
  readonly rank: number;
  /** Length of the update, and of what the adapter leaves of it over that. */
  readonly update: number;
  readonly error: number;
}

export interface ExtractSummary {
  readonly out: string;
  /** What was asked for, or the highest that a matrix of the base can have. */
  readonly rank: number;
  readonly matrices: readonly MatrixError[];
  /** Of all matrices together: what is left over the whole update, by length. */
  readonly error: number;
  /** Modules that are saved whole. */
  readonly saved: readonly string[];
  /** Tensors that differ and that no adapter can hold. */
  readonly left_out: readonly string[];
}

const STAGE = "extract-lora";
/** Layers of these classes are stored the other way round. */
const TURNED_CLASSES = ["gpt2", "openai-gpt", "imagegpt", "decision_transformer"];

/** Writes an adapter for `base` into a new folder. */
export async function extractAdapter(
  options: ExtractOptions,
  { reporter, signal }: ExecuteContext,
): Promise<ExtractSummary> {
  const places = { baseFolder: options.baseFolder ?? ".", hub: options.hub };
  await refuseTaken(options.out);
  const base = await openInput(options.base, await findModel(options.base, places));
  const model = withNamesOf(base, await openInput(options.model, await findModel(options.model, places)));
  checkNames(base, model);
  const rank = Math.min(options.rank, highestRank(base));
  const out = resolve(options.out);
  const folder = `${out}.${process.pid}.tmp`;
  const files = openWeightFiles();
  const read = createEntryReader(files.read);
  const tensors = new Map<string, Tensor>();
  const matrices: MatrixError[] = [];
  const saved = new Set<string>();
  const leftOut: string[] = [];
  reporter.report({ type: "start", stage: STAGE, total: base.tensors.size, unit: "tensors" });
  try {
    let done = 0;
    for (const name of base.tensors.keys()) {
      throwIfInterrupted(signal, STAGE);
      const update = await updateOf(name, base, model, read);
      reporter.report({ type: "progress", stage: STAGE, done: ++done, total: base.tensors.size, unit: "tensors" });
      if (update === undefined) continue;
      const module = name.replace(/\.(weight|bias)$/, "");
      const isWhole = update.difference === undefined || model.tensors.get(`${module}.weight`)?.shape.length === 1;
      if (isWhole && module !== name) saved.add(module);
      else if (name.endsWith(".weight") && update.shape.length === 2) {
        matrices.push(...factorise(name, module, update.difference!, update.shape, rank, base, tensors));
      } else leftOut.push(name);
    }
    for (const module of saved) await saveWhole(module, model, read, tensors);
    if (tensors.size === 0) {
      throw inputError(
        options.model,
        `expected weights that differ from those of ${options.base}, found none that an adapter can hold`,
      );
    }
    const summary = {
      out: options.out,
      rank,
      matrices,
      error: totalError(matrices),
      saved: [...saved],
      left_out: leftOut,
    };
    await writeSafetensors(join(folder, "adapter_model.safetensors"), tensors, { format: "pt" });
    await writeJson(join(folder, "adapter_config.json"), adapterConfig(base, options.base, summary));
    await writeFileAtomic(
      join(folder, "README.md"),
      card({ base: hubNameOf(base.folder) ?? options.base, model: hubNameOf(model.folder) ?? options.model }, summary),
    );
    await renameForGood(folder, out);
    const words = `${matrices.length} matrices of rank ${rank}, error ${percent(summary.error)} of the update, in ${options.out}`;
    reporter.report({
      type: "end",
      stage: STAGE,
      summary: words,
      figures: { matrices: matrices.length, error: summary.error },
    });
    return summary;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw fileError(options.out, error);
  } finally {
    await files.close();
  }
}

async function refuseTaken(out: string): Promise<void> {
  const names = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw fileError(out, error);
  });
  if (names.length > 0)
    throw inputError(out, "the folder exists and holds other files; choose another one or remove it");
}

function checkNames(base: MergeInput, model: MergeInput): void {
  for (const [one, other] of [
    [base, model],
    [model, base],
  ] as const) {
    const missing = [...one.tensors.keys()].find((name) => !other.tensors.has(name));
    if (missing === undefined) continue;
    throw inputError(
      other.name,
      `expected the tensor ${JSON.stringify(missing)} of ${one.name}, found none; an adapter needs a model of its base's tensors`,
    );
  }
}

/** Of a base without matrices it is 1. */
function highestRank({ tensors }: MergeInput): number {
  return [...tensors.values()].reduce(
    (highest, { shape }) => (shape.length === 2 ? Math.max(highest, Math.min(...shape)) : highest),
    1,
  );
}

interface Update {
  readonly shape: readonly number[];
  /** From the base; undefined where the shapes differ. */
  readonly difference: Float32Array | undefined;
}

/** Undefined where nothing differs, or nothing is weights. */
async function updateOf(
  name: string,
  base: MergeInput,
  model: MergeInput,
  read: ReadEntries,
): Promise<Update | undefined> {
  const [from, to] = [
    storedTensor(base.tensors.get(name)!, base.name),
    storedTensor(model.tensors.get(name)!, model.name),
  ];
  if (from === undefined || to === undefined) return undefined;
  const count = to.shape.reduce((product, extent) => product * extent, 1);
  const after = new Float64Array(count);
  await read(to, 0, after);
  const bad = after.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw inputError(
      `${to.file}: ${JSON.stringify(name)}`,
      `expected finite weights, found NaN or infinity at entry ${bad}`,
    );
  if (to.shape.join() !== from.shape.join()) return { shape: to.shape, difference: undefined };
  const before = new Float64Array(count);
  await read(from, 0, before);
  const difference = new Float32Array(count);
  for (let i = 0; i < count; i++) difference[i] = after[i]! - before[i]!;
  return difference.every((value) => value === 0) ? undefined : { shape: to.shape, difference };
}

/** All tensors of a module, for whoever loads it replaces the whole. */
async function saveWhole(
  module: string,
  { name: input, tensors: theirs }: MergeInput,
  read: ReadEntries,
  tensors: Map<string, Tensor>,
): Promise<void> {
  for (const name of [`${module}.weight`, `${module}.bias`]) {
    const info = theirs.get(name);
    const stored = info && storedTensor(info, input);
    if (stored === undefined) continue;
    const values = new Float64Array(stored.shape.reduce((product, extent) => product * extent, 1));
    await read(stored, 0, values);
    tensors.set(`base_model.model.${name}`, { dtype: "F32", shape: stored.shape, data: Float32Array.from(values) });
  }
}

/**
 * Puts a matrix's factors among the tensors; the head's too where it is tied to this embedding. A matrix with fewer rows or
 * columns than the rank has zeros behind its vectors: peft renames modules of some classes when it loads them, but not the
 * keys of `rank_pattern`, so all modules are given one rank.
 */
function factorise(
  name: string,
  module: string,
  difference: Float32Array,
  shape: readonly number[],
  rank: number,
  base: MergeInput,
  tensors: Map<string, Tensor>,
): MatrixError[] {
  const [rows, columns] = shape as [number, number];
  const { values, left, right } = truncatedSvd(difference, rows, columns, rank, name);
  const scaled = (vectors: readonly Float64Array[], length: number, isStackedByRank: boolean): Float32Array => {
    const data = new Float32Array(rank * length);
    for (const [r, vector] of vectors.entries()) {
      const root = Math.sqrt(values[r]!);
      for (let i = 0; i < length; i++) data[isStackedByRank ? r * length + i : i * rank + r] = root * vector[i]!;
    }
    return data;
  };
  const put = (
    key: string,
    parts: readonly [string, string],
    vectors: readonly [readonly Float64Array[], number][],
  ): void => {
    const [[a, inputs], [b, outputs]] = vectors as [
      [readonly Float64Array[], number],
      [readonly Float64Array[], number],
    ];
    tensors.set(`base_model.model.${key}.${parts[0]}`, {
      dtype: "F32",
      shape: [rank, inputs],
      data: scaled(a, inputs, true),
    });
    tensors.set(`base_model.model.${key}.${parts[1]}`, {
      dtype: "F32",
      shape: [outputs, rank],
      data: scaled(b, outputs, false),
    });
  };
  const asLinear = [
    [right, columns],
    [left, rows],
  ] as [readonly Float64Array[], number][];
  const turned = [
    [left, rows],
    [right, columns],
  ] as [readonly Float64Array[], number][];
  const linear = ["lora_A.weight", "lora_B.weight"] as const;
  if (name === base.anatomy.embedding || isLookedUp(name)) {
    put(module, ["lora_embedding_A", "lora_embedding_B"], turned);
    if (base.isTied && name === base.anatomy.embedding) put("lm_head", linear, asLinear);
  } else put(module, linear, isTurned(base) && name !== base.anatomy.head ? turned : asLinear);
  const square = difference.reduce((sum, value) => sum + value * value, 0);
  const rest = Math.max(0, square - values.reduce((sum, value) => sum + value * value, 0));
  return [{ module, rank: values.length, update: Math.sqrt(square), error: Math.sqrt(rest / square) }];
}

function isTurned({ config }: MergeInput): boolean {
  return TURNED_CLASSES.includes(String(config.get("model_type") ?? ""));
}

function totalError(matrices: readonly MatrixError[]): number {
  const whole = matrices.reduce((sum, { update }) => sum + update ** 2, 0);
  const left = matrices.reduce((sum, { update, error }) => sum + (update * error) ** 2, 0);
  return whole === 0 ? 0 : Math.sqrt(left / whole);
}

/** Alpha is the rank everywhere, so that the product is the update itself. */
function adapterConfig(
  base: MergeInput,
  name: string,
  { rank, matrices, saved }: ExtractSummary,
): Record<string, unknown> {
  const [repo, revision] = hubNameOf(base.folder)?.split("@") ?? [];
  const isHeadAdded = base.isTied && matrices.some(({ module }) => `${module}.weight` === base.anatomy.embedding);
  const modules = [...matrices.map(({ module }) => module), ...(isHeadAdded ? ["lm_head"] : [])];
  return {
    peft_type: "LORA",
    task_type: hasLanguageHead(base.config) ? "CAUSAL_LM" : null,
    base_model_name_or_path: repo ?? name,
    ...(revision !== undefined && { revision }),
    r: rank,
    lora_alpha: rank,
    lora_dropout: 0,
    bias: "none",
    use_rslora: false,
    use_dora: false,
    fan_in_fan_out: isTurned(base),
    target_modules: modules,
    modules_to_save: saved.length === 0 ? null : saved,
    inference_mode: true,
  };
}

function card(
  { base, model }: Pick<ExtractOptions, "base" | "model">,
  { rank, matrices, error, saved, left_out: leftOut }: ExtractSummary,
): string {
  const code = (text: string): string => `\`${text.replace(/[`|\s\p{Cc}]/gu, "_")}\``;
  return [
    "---",
    "library_name: peft",
    "tags: [lora, fusechat]",
    "---",
    "",
    "# Extracted LoRA adapter",
    "",
    `What ${code(model)} differs from ${code(base)} by, at rank ${rank}: ${percent(error)} of the update is left out, by length.`,
    ...(saved.length === 0 ? [] : [`Saved whole: ${saved.map(code).join(", ")}.`]),
    ...(leftOut.length === 0 ? [] : [`Left out: ${leftOut.map(code).join(", ")}.`]),
    "",
    "| matrix | rank | length of the update | error |",
    "|---|---:|---:|---:|",
    ...matrices.map(
      (matrix) =>
        `| ${code(matrix.module)} | ${matrix.rank} | ${matrix.update.toPrecision(4)} | ${percent(matrix.error)} |`,
    ),
    "",
  ].join("\n");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)}%`;
}
