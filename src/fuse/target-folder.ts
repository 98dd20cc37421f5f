/**
 * A finished target: a complete Hugging Face folder that any program for the pivot's architecture can open, with the
 * training log, a model card and, written last of all, the record of what it was made from.
 */

import { join } from "node:path";
import { z } from "zod";
import { ADAPTER_FOLDER } from "../engine/lora.ts";
import { inputError } from "../errors.ts";
import { readChecked } from "../formats/checked-json.ts";
import { writeFileAtomic, writeJson } from "../formats/files.ts";
import { openWeights } from "../formats/weights.ts";
import { copyModelFiles } from "../models/folder.ts";
import { ADAPTER_CONFIG } from "../models/hub-files.ts";
import type { LogLine } from "./journal.ts";
import { RECORD_FILE, type TargetRecord } from "./record.ts";

/** What the targets were made of: conversations and rows, and how many of each are a source's. */
export interface Coverage {
  readonly conversations: number;
  readonly rows: number;
  /** Conversations in which a source is chosen for at least one row. */
  readonly source_conversations: number;
  readonly source_rows: number;
  /** Rows for which sources are chosen but none has anything to say. */
  readonly unshared_rows: number;
  /** Where there are several sources. */
  readonly sources?: readonly SourceCoverage[];
}

/** Conversations in which a source is chosen for at least one row, and rows that have its distribution. */
export interface SourceCoverage {
  readonly source: string;
  readonly conversations: number;
  readonly rows: number;
}

export interface TargetFigures {
  readonly steps: number;
  readonly coverage: Coverage;
  readonly first: LogLine;
  readonly last: LogLine;
}

/** Completes the folder around the weights and the log, which lie in it already. */
export async function completeTarget(
  model: string,
  out: string,
  record: TargetRecord,
  figures: TargetFigures,
): Promise<void> {
  await copyModelFiles(model, out, { torch_dtype: String(record.settings.dtype) });
  if (record.settings.lora_keep === true) await nameBase(join(out, ADAPTER_FOLDER, ADAPTER_CONFIG), record);
  await writeFileAtomic(join(out, "README.md"), modelCard(record, figures));
  const weights = await (await openWeights(out)).sha256();
  await writeJson(join(out, RECORD_FILE), { ...record, figures, weights_sha256: weights });
}

/** What loads the adapter looks for its base by this name. */
async function nameBase(path: string, record: TargetRecord): Promise<void> {
  const config = await readChecked(path, z.looseObject({}), "the configuration of an adapter");
  await writeJson(path, { ...config, base_model_name_or_path: baseOf(record) });
}

function baseOf({ hub, pivot }: TargetRecord): string {
  return hub?.pivot?.split("@")[0] ?? pivot;
}

/** Throws where the weights of a finished target are gone, or no longer those that were trained. */
export async function checkTargetWeights(out: string, record: Readonly<Record<string, unknown>>): Promise<void> {
  if ((await (await openWeights(out)).sha256()) === record.weights_sha256) return;
  throw inputError(
    out,
    "holds this target, but its weights have changed since they were trained; remove the folder to train again, or choose another one",
  );
}

/** The model card: what the model is, what it was made from, and how the training went. */
export function modelCard(record: TargetRecord, figures: TargetFigures): string {
  const { coverage, first, last } = figures;
  const title = record.source === null ? `${record.pivot}, fine-tuned` : `${record.pivot} × ${record.source}`;
  const about =
    record.source === null
      ? `${record.pivot}, fine-tuned on the labels of ${coverage.conversations} conversations (no source took part).`
      : `A target of ${coverage.sources === undefined ? "pairwise fusion" : "several sources at once"}: it starts from the pivot ` +
        `${record.pivot} and was trained on the labels of ${coverage.conversations} conversations and on the distributions ` +
        `of the pivot and of ${record.source} ` +
        (coverage.sources === undefined
          ? "(FuseChat, https://arxiv.org/abs/2408.07990)."
          : "(FuseLLM, https://arxiv.org/abs/2401.10491).");
  const share =
    record.source === null
      ? []
      : [
          ...(coverage.sources ?? []).map(
            ({ source, conversations, rows }) =>
              `- ${source}: chosen in ${conversations} conversations, in the target of ${rows} rows.`,
          ),
          ...(coverage.sources === undefined ? [] : [""]),
          `${coverage.sources === undefined ? "The source" : "A source"} was chosen in ${coverage.source_conversations} of ${coverage.conversations} conversations and gives ` +
            `the target of ${coverage.source_rows} of ${coverage.rows} rows; in ${coverage.unshared_rows} rows it was chosen but had nothing to say.`,
          "",
        ];
  return [
    "---",
    "library_name: transformers",
    `base_model: ${JSON.stringify(baseOf(record))}`,
    "tags: [fusechat]",
    "---",
    "",
    `# ${title}`,
    "",
    about,
    "",
    ...share,
    ...Object.entries(record.hub ?? {}).map(([role, name]) => `The ${role} is \`${name}\` of the Hugging Face Hub.\n`),
    "| setting | value |",
    "|---|---|",
    ...Object.entries(record.settings).map(([key, value]) => `| ${key} | ${value} |`),
    "",
    `Means over the rows of a step, nats, over ${figures.steps} steps:`,
    "",
    "| | first step | last step |",
    "|---|---|---|",
    ...(["loss", "label_loss", "fusion_loss"] as const).map(
      (key) => `| ${key} | ${first[key].toFixed(4)} | ${last[key].toFixed(4)} |`,
    ),
    "",
    "| input | SHA-256 |",
    "|---|---|",
    ...Object.entries(record.inputs).map(([key, value]) => `| ${key} | ${value} |`),
    "",
  ].join("\n");
}
