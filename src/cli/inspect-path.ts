/**
 * Summaries of what a path holds: a model, a tokenizer, a run directory, distributions, aligned distributions, or any
 * other safetensors file. Weights are never read, only their headers.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { listShards, readDistributionsShard } from "../distributions/shard-file.ts";
import { inputError } from "../errors.ts";
import { exists, fileError, readJson } from "../formats/files.ts";
import { readSafetensorsHeader, type TensorInfo } from "../formats/safetensors.ts";
import { NO_OUTLINES, type Outlines, openWeights } from "../formats/weights.ts";
import { parseHubId } from "../hub/id.ts";
import { estimateFetch } from "../models/fetch-estimate.ts";
import { EVALUATION, RESERVED_EVALUATIONS, RUN_ENTRIES, RUN_FILES } from "../recipe/layout.ts";
import { gatesDocument } from "../report/run-documents.ts";
import { hasTokenizer } from "../tokenizer/tokenizer-source.ts";
import { summariseAligned } from "./inspect-aligned.ts";
import { summariseModel, weightFigures } from "./inspect-model.ts";
import { summariseTokenizer } from "./inspect-tokenizer.ts";
import type { Invocation } from "./verb.ts";

type Summary = Readonly<Record<string, unknown>>;

export interface Findings {
  readonly summary: Summary;
  /** What is wrong with files of which the summary tells all the same; not what is well made and of no use here. */
  readonly wrong: readonly string[];
}

/** Formats without their versions: what reads a shard refuses another version with a sentence. */
const DISTRIBUTIONS = "fusechat-distributions";
const ALIGNED = "fusechat-aligned";

function formatOf({ format }: Readonly<Record<string, string>>): string {
  return format?.replace(/-\d+$/, "") ?? "none";
}

/** Of what lies here, or of a model of the Hub: of that, config and tokenizer come, and the headers of its weights. */
export async function summarise(what: string, hub: Invocation["hub"]): Promise<Findings> {
  const wrong = new Set<string>();
  const id = (await exists(what)) ? undefined : parseHubId(what);
  if (id === undefined) return { summary: await summarisePath(what, NO_OUTLINES, wrong), wrong: [...wrong] };
  const models = await hub();
  const { folder, headers } = await models.outline(id);
  const summary = await summarisePath(folder, headers, wrong);
  const { models: found, from, missing_bytes, seconds, rate } = await estimateFetch(models, [id]);
  const fetch = { from, missing_bytes, seconds, rate };
  return { summary: { ...summary, path: found[0]!.model, folder, fetch }, wrong: [...wrong] };
}

async function summarisePath(path: string, outlines: Outlines, wrong: Set<string>): Promise<Summary> {
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
  if (names.includes("config.json")) return summariseModel(path, outlines, wrong);
  if (names.some((name) => name.endsWith(".safetensors"))) {
    const { tensors, files } = await openWeights(path);
    return { kind: "weights", path, ...weightFigures(tensors), files: files.length, list: tensorList(tensors) };
  }
  if (await hasTokenizer(path)) return { kind: "tokenizer", path, ...(await summariseTokenizer(path, wrong)) };
  throw inputError(
    path,
    "expected a model, tokenizer, run or shard folder: no config.json, tokenizer.json, tokenizer.model, recipe.yaml or shard",
  );
}

async function summariseFile(path: string): Promise<Summary> {
  if (!path.endsWith(".safetensors")) throw inputError(path, "expected a folder or a .safetensors file");
  const { tensors, metadata } = await readSafetensorsHeader(path);
  if ([DISTRIBUTIONS, ALIGNED].includes(formatOf(metadata))) return summariseShards([path], path);
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

async function summariseShards(paths: readonly string[], path: string): Promise<Summary> {
  const { metadata } = await readSafetensorsHeader(paths[0]!);
  if (formatOf(metadata) === DISTRIBUTIONS) return summariseDistributions(paths, path, metadata);
  if (formatOf(metadata) === ALIGNED) return summariseAligned(paths, path, metadata);
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

/** What the recipe demands, and whether it holds. */
async function gatesOf(folder: string, areThere: boolean): Promise<Summary> {
  if (!areThere) return {};
  const path = join(folder, RUN_FILES.gates);
  const parsed = gatesDocument.safeParse(await readJson(path));
  if (!parsed.success) throw inputError(path, "not as a run writes it; was the file changed by hand?");
  return { gates: Object.fromEntries(parsed.data.gates.map(({ gate, met }) => [gate, met ? "met" : "not met"])) };
}

async function summariseRun(folder: string, names: readonly string[]): Promise<Summary> {
  const inside = async (name: string): Promise<readonly string[]> =>
    names.includes(name) ? (await readdir(join(folder, name))).filter((entry) => !entry.startsWith(".")).sort() : [];
  const noUnits: readonly string[] = [RUN_FILES.inputs, RUN_FILES.seen].map((path) => basename(path));
  const units = (await inside(RUN_FILES.units)).filter((name) => !noUnits.includes(name));
  const evaluated = (await inside(EVALUATION)).flatMap((name) => (name.endsWith(".json") ? [name.slice(0, -5)] : []));
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
    evaluations: evaluated.filter((name) => !RESERVED_EVALUATIONS.includes(name)),
    ...(await gatesOf(folder, evaluated.includes("gates"))),
    report: names.includes(RUN_FILES.report),
    other: names.filter((name) => !RUN_ENTRIES.includes(name) && name !== RUN_FILES.lock).sort(),
  };
}
