/**
 * The two files that grow while a target trains: `log.jsonl`, a line per optimiser step and part of the result, and
 * `timing.jsonl`, its wall times, which are not. After an interruption both are cut back to the checkpoint's step, so
 * that every step has exactly one line whatever the process died of.
 */
import { join } from "node:path";
import { z } from "zod";
import { inputError } from "../errors.ts";
import { excerptOf } from "../excerpt.ts";
import { exists, readText, writeFileAtomic } from "../formats/files.ts";
import { type GrowingFile, openGrowing } from "../formats/growing-file.ts";

export const LOG_FILE = "log.jsonl";
export const TIMING_FILE = "timing.jsonl";

/** A line of `log.jsonl`: means over the rows of the step, before its update; nats. */
export interface LogLine {
  readonly step: number;
  readonly loss: number;
  readonly label_loss: number;
  readonly fusion_loss: number;
  readonly lr: number;
  /** Before clipping. */
  readonly grad_norm: number;
  readonly rows: number;
}

const figure = z.number();
const logLine: z.ZodType<LogLine> = z.object({
  step: figure,
  loss: figure,
  label_loss: figure,
  fusion_loss: figure,
  lr: figure,
  grad_norm: figure,
  rows: figure,
});

export interface Journal {
  append(line: LogLine, seconds: number): Promise<void>;
  /** Flushes to the disk: a checkpoint may only speak of steps whose lines are safe. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Cuts both files back to their first `steps` lines and opens them for more. Returns the lines that stay. */
export async function openJournal(folder: string, steps: number): Promise<{ journal: Journal; kept: LogLine[] }> {
  const logPath = join(folder, LOG_FILE);
  const timingPath = join(folder, TIMING_FILE);
  const lines = await cutBack(logPath, steps);
  if (lines.length < steps) {
    throw inputError(
      logPath,
      `expected the lines of ${steps} steps as the checkpoint beside it has done, found ${lines.length}; remove ${folder} to start anew`,
    );
  }
  const kept = lines.map((line, step) => parseLine(logPath, line, step));
  await cutBack(timingPath, steps);
  const log = await openGrowing(logPath);
  let timing: GrowingFile;
  try {
    timing = await openGrowing(timingPath);
  } catch (error) {
    await log.close();
    throw error;
  }
  return {
    journal: {
      append: async (line, seconds) => {
        await log.append(`${JSON.stringify(line)}\n`);
        await timing.append(`${JSON.stringify({ step: line.step, seconds: Number(seconds.toFixed(4)) })}\n`);
      },
      sync: () => log.sync(),
      close: async () => {
        await log.close();
        await timing.close();
      },
    },
    kept,
  };
}

/** Keeps a file's first whole lines, at most `count`; a last line without its line feed was half-written. */
async function cutBack(path: string, count: number): Promise<string[]> {
  if (!(await exists(path))) return [];
  const text = await readText(path);
  const lines = text.split("\n").slice(0, -1).slice(0, count);
  const kept = lines.map((line) => `${line}\n`).join("");
  if (kept !== text) await writeFileAtomic(path, kept);
  return lines;
}

function parseLine(path: string, line: string, step: number): LogLine {
  try {
    const parsed = logLine.safeParse(JSON.parse(line));
    if (parsed.success && parsed.data.step === step) return parsed.data;
  } catch {
    // Told below, in the same words as a line of another step.
  }
  throw inputError(`${path}:${step + 1}`, `expected the line of step ${step}, found ${excerptOf(line)}`);
}
