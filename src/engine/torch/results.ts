/** What a finished job leaves in `out/`: rows, a training's log, answers. Checked: another program wrote it. */
import { join } from "node:path";
import { failure } from "../../errors.ts";
import { readText } from "../../formats/files.ts";
import { readSafetensors } from "../../formats/safetensors.ts";
import type { RowBatch, StepResult } from "../engine.ts";

/** Rows of `R` rows in all, from the files of `blocks` blocks of sequences. */
export async function readRows(folder: string, blocks: number, rows: number, topK: number): Promise<RowBatch> {
  const labelLogp = new Float32Array(rows);
  const topId = new Int32Array(rows * topK);
  const topLogp = new Float32Array(rows * topK);
  let at = 0;
  for (let block = 0; block < blocks; block++) {
    const path = join(folder, "out", `rows-${String(block).padStart(5, "0")}.safetensors`);
    const { tensors } = await readSafetensors(path);
    const label = floats(path, tensors.get("label_logp")?.data);
    const id = tensors.get("top_id")?.data;
    const logp = floats(path, tensors.get("top_logp")?.data);
    const complete = id instanceof Int32Array && id.length === label.length * topK && logp.length === id.length;
    if (!complete || at + label.length > rows) {
      throw failure(path, `expected at most ${rows - at} rows of ${topK} ids each, found others; remove ${folder}`);
    }
    labelLogp.set(label, at);
    topId.set(id, at * topK);
    topLogp.set(logp, at * topK);
    at += label.length;
  }
  if (at !== rows)
    throw failure(folder, `expected ${rows} rows, found ${at}; remove it and run the same command again`);
  return { labelLogp, topId, topLogp };
}

/** [R, V] of a job that was asked for logits. */
export async function readLogits(folder: string): Promise<Float32Array> {
  const path = join(folder, "out", "rows-00000.safetensors");
  return floats(path, (await readSafetensors(path)).tensors.get("logits")?.data);
}

/** A line a step. */
export async function readLog(folder: string, steps: number): Promise<StepResult[]> {
  const path = join(folder, "out", "log.jsonl");
  const lines = (await readText(path)).split("\n").slice(0, -1);
  if (lines.length !== steps) throw failure(path, `expected ${steps} lines, found ${lines.length}; remove ${folder}`);
  return lines.map((line, index) => {
    const value = JSON.parse(line) as Record<string, number>;
    const { step, rows, label_loss, fusion_loss, grad_norm } = value;
    if (step !== index || rows === undefined || label_loss === undefined || grad_norm === undefined) {
      throw failure(`${path}:${index + 1}`, `expected the line of step ${index}, found ${line.slice(0, 80)}`);
    }
    return { rows, labelLoss: label_loss, fusionLoss: fusion_loss ?? 0, gradientNorm: grad_norm };
  });
}

/** The ids of each prompt's answer. */
export async function readAnswers(folder: string, prompts: number): Promise<Int32Array[]> {
  const path = join(folder, "out", "answers.jsonl");
  const lines = (await readText(path)).split("\n").slice(0, -1);
  if (lines.length !== prompts) throw failure(path, `expected ${prompts} answers, found ${lines.length}`);
  return lines.map((line, index) => {
    const ids: unknown = JSON.parse(line);
    if (!Array.isArray(ids) || !ids.every(Number.isSafeInteger)) {
      throw failure(`${path}:${index + 1}`, `expected a list of ids, found ${line.slice(0, 80)}`);
    }
    return Int32Array.from(ids as number[]);
  });
}

function floats(path: string, data: unknown): Float32Array {
  if (data instanceof Float32Array) return data;
  throw failure(path, "expected float32 rows as docs/formats.md has them, found something else");
}
