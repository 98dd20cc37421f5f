/** What a finished job leaves in `out/`: rows, a training's log, answers. Checked: another program wrote it. */
import { join } from "node:path";
import { z } from "zod";
import { failure } from "../../errors.ts";
import { excerptOf } from "../../excerpt.ts";
import { readText } from "../../formats/files.ts";
import { parseJsonDocument, plainJson } from "../../formats/json-document.ts";
import { createRowReader, readSafetensors } from "../../formats/safetensors.ts";
import type { RowBatch, StepResult } from "../engine.ts";
import type { PackedSequences } from "../packed.ts";

/** The rows of a job's sequences, read from its files when they are asked for: 47 million rows are 4 GB. */
export interface JobRows {
  all(): Promise<RowBatch>;
  /** Those of the next sequences that are these, in the order of the job; undefined where it has none such. */
  find(sequences: PackedSequences, topK: number): Promise<RowBatch | undefined>;
}

/** `blockSize` sequences are a file. */
export function openJobRows(folder: string, packed: PackedSequences, topK: number, blockSize: number): JobRows {
  const rowsOf = createRowReader();
  const count = packed.rowStart.length - 1;
  let next = 0;
  const read = async (from: number, to: number): Promise<RowBatch> => {
    const first = packed.rowStart[from]!;
    const rows = packed.rowStart[to]! - first;
    const batch = {
      labelLogp: new Float32Array(rows),
      topId: new Int32Array(rows * topK),
      topLogp: new Float32Array(rows * topK),
    };
    for (let block = Math.floor(from / blockSize); block * blockSize < to; block++) {
      const blockRow = packed.rowStart[block * blockSize]!;
      const begin = Math.max(first, blockRow);
      const end = packed.rowStart[Math.min(to, (block + 1) * blockSize)]!;
      if (begin === end) continue;
      const path = join(folder, "out", `rows-${String(block).padStart(5, "0")}.safetensors`);
      const columns = await rowsOf(path, ["label_logp", "top_id", "top_logp"], begin - blockRow, end - begin);
      const [label, id, logp] = columns;
      const typed = label instanceof Float32Array && id instanceof Int32Array && logp instanceof Float32Array;
      if (!typed || id.length !== (end - begin) * topK || logp.length !== id.length) {
        throw failure(path, `expected rows of ${topK} ids each, found others; remove ${folder}`);
      }
      batch.labelLogp.set(label, begin - first);
      batch.topId.set(id, (begin - first) * topK);
      batch.topLogp.set(logp, (begin - first) * topK);
    }
    return batch;
  };
  return {
    all: () => read(0, count),
    find: async (wanted, wantedK) => {
      const size = wanted.rowStart.length - 1;
      for (let from = next; wantedK === topK && from + size <= count; from++) {
        if (!isSameAt(packed, from, wanted)) continue;
        next = from + size;
        return read(from, next);
      }
      return undefined;
    },
  };
}

/** Whether all of `wanted` are the sequences from `from` on: ids and labels. */
function isSameAt(packed: PackedSequences, from: number, wanted: PackedSequences): boolean {
  const size = wanted.rowStart.length - 1;
  return (
    isSame(packed.ids.subarray(packed.idStart[from], packed.idStart[from + size]), wanted.ids) &&
    isSame(packed.positions.subarray(packed.rowStart[from], packed.rowStart[from + size]), wanted.positions) &&
    isSame(rowsOfUniform(packed, from, from + size), wanted.uniform ?? NOT_DRAWN) &&
    wanted.idStart.every((start, n) => packed.idStart[from + n]! - packed.idStart[from]! === start)
  );
}

const NOT_DRAWN = new Float32Array(0);

/** The numbers that the rows of some sequences are drawn by. */
function rowsOfUniform({ uniform, rowStart }: PackedSequences, from: number, to: number): Float32Array {
  return uniform?.subarray(rowStart[from], rowStart[to]) ?? NOT_DRAWN;
}

function isSame<T extends Int32Array | Float32Array>(a: T, b: T): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
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
    const value = stepLine.safeParse(parsedLine(line)).data;
    if (value?.step !== index) {
      throw failure(`${path}:${index + 1}`, `expected the line of step ${index}, found ${excerptOf(line)}`);
    }
    const { rows, label_loss, fusion_loss, grad_norm } = value;
    return { rows, labelLoss: label_loss, fusionLoss: fusion_loss ?? 0, gradientNorm: grad_norm };
  });
}

/** The ids of each prompt's answer. */
export async function readAnswers(folder: string, prompts: number): Promise<Int32Array[]> {
  const path = join(folder, "out", "answers.jsonl");
  const lines = (await readText(path)).split("\n").slice(0, -1);
  if (lines.length !== prompts) throw failure(path, `expected ${prompts} answers, found ${lines.length}`);
  return lines.map((line, index) => {
    const ids = parsedLine(line);
    if (!Array.isArray(ids) || !ids.every(Number.isSafeInteger)) {
      throw failure(`${path}:${index + 1}`, `expected a list of ids, found ${excerptOf(line)}`);
    }
    return Int32Array.from(ids as number[]);
  });
}

/** Python's `json` writes NaN where training has diverged, which is told elsewhere. */
const loss = z.custom<number>((value) => typeof value === "number", "expected a number");
const stepLine = z.object({
  step: z.number(),
  rows: z.number(),
  label_loss: loss,
  fusion_loss: loss.nullish(),
  grad_norm: loss,
});

/** Undefined for what is no JSON. */
function parsedLine(line: string): unknown {
  const document = parseJsonDocument(line);
  return "value" in document ? plainJson(document.value) : undefined;
}

function floats(path: string, data: unknown): Float32Array {
  if (data instanceof Float32Array) return data;
  throw failure(path, "expected float32 rows as docs/formats.md has them, found something else");
}
