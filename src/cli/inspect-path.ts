/**
 * Summaries of what a path holds: a model, a tokenizer, a run directory, distributions, aligned distributions, or any
 * other safetensors file. Weights are never read, only their headers.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { readAlignedShard } from "../align/shard-file.ts";
import { readChatTemplate } from "../data/template.ts";
import { listShards, readDistributionsShard } from "../distributions/shard-file.ts";
import { FusechatError, inputError } from "../errors.ts";
import { exists, fileError, readJson } from "../formats/files.ts";
import { readSafetensorsHeader, type TensorInfo } from "../formats/safetensors.ts";
import { openWeights } from "../formats/weights.ts";
import { ARCHITECTURES } from "../models/index.ts";
import { RUN_ENTRIES, RUN_FILES } from "../recipe/layout.ts";
import { loadTokenizer } from "../tokenizer/load.ts";
import { readSpecialTokens } from "../tokenizer/special.ts";

export type Summary = Readonly<Record<string, unknown>>;

const DISTRIBUTIONS = "fusechat-distributions-1";
const ALIGNED = "fusechat-aligned-1";

export async function summarise(path: string): Promise<Summary> {
  let isFolder: boolean;
  try {
    isFolder = (await stat(path)).isDirectory();
  } catch (error) {
    throw fileError(path, error);
  }
  if (!isFolder) return summariseFile(path);
  const names = await readdir(path);
  if (names.includes(RUN_FILES.recipe)) return summariseRun(path, names);
  if (names.some((name) => /^shard-\d+\.safetensors$/.test(name))) return summariseShards(await listShards(path), path);
  if (names.includes("config.json")) return summariseModel(path);
  if (names.some((name) => name.endsWith(".safetensors"))) {
    const { tensors, files } = await openWeights(path);
    return { kind: "weights", path, ...weightFigures(tensors), files: files.length, list: tensorList(tensors) };
  }
  if (names.includes("tokenizer.json")) return { kind: "tokenizer", path, ...(await summariseTokenizer(path)) };
  throw inputError(
    path,
    "expected a model, tokenizer, run or shard folder: no config.json, tokenizer.json, recipe.yaml or shard",
  );
}

async function summariseFile(path: string): Promise<Summary> {
  if (!path.endsWith(".safetensors")) throw inputError(path, "expected a folder or a .safetensors file");
  const { tensors, metadata } = await readSafetensorsHeader(path);
  if (metadata.format === DISTRIBUTIONS || metadata.format === ALIGNED) return summariseShards([path], path);
  return {
    kind: "safetensors",
    path,
    ...weightFigures(tensors),
    metadata,
    list: tensorList(tensors),
  };
}

/** `{"model.norm.weight": "F32 [48]"}` */
function tensorList(tensors: ReadonlyMap<string, TensorInfo>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...tensors.values()].map(({ name, dtype, shape }) => [name, `${dtype} [${shape.join(", ")}]`]),
  );
}

function weightFigures(tensors: ReadonlyMap<string, TensorInfo>): Summary {
  const dtypes: Record<string, number> = {};
  let parameters = 0;
  let bytes = 0;
  for (const { dtype, shape, byteLength } of tensors.values()) {
    dtypes[dtype] = (dtypes[dtype] ?? 0) + 1;
    parameters += shape.reduce((product, extent) => product * extent, 1);
    bytes += byteLength;
  }
  return { tensors: tensors.size, parameters, bytes, dtypes };
}

async function summariseModel(folder: string): Promise<Summary> {
  const path = join(folder, "config.json");
  const config = await readJson(path);
  if (typeof config !== "object" || config === null) throw inputError(path, "expected an object");
  const fields = config as Readonly<Record<string, unknown>>;
  const weights = await openWeights(folder);
  const architecture = fields.model_type ?? null;
  return {
    kind: "model",
    path: folder,
    architecture,
    supported: ARCHITECTURES.some(({ name }) => name === architecture),
    layers: fields.num_hidden_layers,
    hidden_size: fields.hidden_size,
    heads: fields.num_attention_heads,
    key_value_heads: fields.num_key_value_heads,
    vocabulary: fields.vocab_size,
    max_positions: fields.max_position_embeddings,
    ...weightFigures(weights.tensors),
    files: weights.files.length,
    tokenizer: (await exists(join(folder, "tokenizer.json"))) ? await summariseTokenizer(folder) : null,
  };
}

/** A tokenizer or template that cannot be used is no reason not to tell the rest: its reason stands in its place. */
async function summariseTokenizer(folder: string): Promise<Summary> {
  const special = await readSpecialTokens(folder);
  const template = await orReason(async () => (await readChatTemplate(folder)).path);
  const tokenizer = await orReason(async () => {
    const { size, sha256, isSpecial } = await loadTokenizer(folder);
    const specials = Array.from({ length: size }, (_, id) => id).filter(isSpecial).length;
    return { size, special_tokens: specials, sha256 };
  });
  return {
    ...(typeof tokenizer === "string" ? { refused: tokenizer } : tokenizer),
    bos: special.bos,
    eos: special.eos,
    stop_ids: special.stopIds,
    template,
  };
}

async function orReason<T>(work: () => Promise<T>): Promise<T | string> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FusechatError) return error.message;
    throw error;
  }
}

async function summariseShards(paths: readonly string[], path: string): Promise<Summary> {
  const { metadata } = await readSafetensorsHeader(paths[0]!);
  if (metadata.format === DISTRIBUTIONS) return summariseDistributions(paths, path, metadata);
  if (metadata.format === ALIGNED) return summariseAligned(paths, path, metadata);
  throw inputError(
    paths[0]!,
    `expected a shard of ${DISTRIBUTIONS} or ${ALIGNED}, found format ${metadata.format ?? "none"}`,
  );
}

async function summariseDistributions(paths: readonly string[], path: string, metadata: Summary): Promise<Summary> {
  let conversations = 0;
  let rows = 0;
  let bytes = 0;
  let nats = 0;
  for (const shardPath of paths) {
    const shard = await readDistributionsShard(shardPath);
    conversations += shard.conversation.length;
    rows += shard.labelLogp.length;
    for (const count of shard.bytes) bytes += count;
    for (const logp of shard.labelLogp) nats -= logp;
  }
  const figures = { conversations, rows, bytes, nats_per_byte: bytes > 0 ? nats / bytes : null };
  return { kind: "distributions", path, shards: paths.length, ...figures, metadata };
}

async function summariseAligned(paths: readonly string[], path: string, metadata: Summary): Promise<Summary> {
  let conversations = 0;
  let rows = 0;
  let shared = 0;
  const pivot = { nats: 0, bytes: 0 };
  const source = { nats: 0, bytes: 0 };
  let sourceBetter = 0;
  for (const shardPath of paths) {
    const shard = await readAlignedShard(shardPath);
    conversations += shard.conversation.length;
    rows += shard.sourceRow.length;
    for (const row of shard.sourceRow) shared += row >= 0 ? 1 : 0;
    for (let n = 0; n < shard.conversation.length; n++) {
      pivot.nats += shard.pivotNats[n]!;
      pivot.bytes += shard.pivotBytes[n]!;
      source.nats += shard.sourceNats[n]!;
      source.bytes += shard.sourceBytes[n]!;
      const sourceRate = shard.sourceBytes[n]! > 0 ? shard.sourceNats[n]! / shard.sourceBytes[n]! : Infinity;
      if (sourceRate < shard.pivotNats[n]! / shard.pivotBytes[n]!) sourceBetter += 1;
    }
  }
  return {
    kind: "aligned",
    path,
    shards: paths.length,
    conversations,
    conversations_where_source_is_better: sourceBetter,
    rows,
    shared_rows: shared,
    shared_share: rows > 0 ? shared / rows : null,
    pivot_nats_per_byte: pivot.bytes > 0 ? pivot.nats / pivot.bytes : null,
    source_nats_per_byte: source.bytes > 0 ? source.nats / source.bytes : null,
    metadata,
  };
}

async function summariseRun(folder: string, names: readonly string[]): Promise<Summary> {
  const inside = async (name: string): Promise<readonly string[]> =>
    names.includes(name) ? (await readdir(join(folder, name))).filter((entry) => !entry.startsWith(".")).sort() : [];
  const units = await inside(RUN_FILES.units);
  return {
    kind: "run",
    path: folder,
    recipe: join(folder, RUN_FILES.recipe),
    running: names.includes(RUN_FILES.lock),
    finished_units: units.map((name) => name.replace(/\.json$/, "").replaceAll("--", "/")),
    distributions: await inside("distributions"),
    aligned: await inside("aligned"),
    targets: await inside("targets"),
    fused: names.includes("fused"),
    report: names.includes(RUN_FILES.report),
    other: names.filter((name) => !RUN_ENTRIES.includes(name) && name !== RUN_FILES.lock).sort(),
  };
}
