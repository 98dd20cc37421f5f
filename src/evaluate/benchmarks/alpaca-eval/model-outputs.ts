/** `model_outputs.json`: what a model, or the baseline, answers to every instruction. */
import { basename } from "node:path";
import { z } from "zod";
import { inputError } from "../../../errors.ts";
import { readJsonRecords } from "./json-records.ts";

export interface ModelOutput {
  readonly instruction: string;
  readonly output: string;
  /** Part of the benchmark that the instruction is from. */
  readonly dataset?: string;
}

export interface ModelOutputs {
  readonly generator: string;
  readonly outputs: readonly ModelOutput[];
}

const outputRecord = z.object({
  instruction: z.string(),
  output: z.string(),
  dataset: z.string().nullish(),
  generator: z.string().nullish(),
});

const instructionRecord = z.object({ instruction: z.string(), dataset: z.string().nullish() });

/** Outputs of one model; without its name in the file, the file's. `what` is told where the file is missing. */
export async function readModelOutputs(path: string, what: string): Promise<ModelOutputs> {
  const records = await readJsonRecords(path, outputRecord, what);
  const generator = records[0]!.generator ?? basename(path, ".json");
  const other = records.findIndex((record) => (record.generator ?? generator) !== generator);
  if (other >= 0) {
    throw inputError(
      `${path}: record ${other + 1}`,
      `expected outputs of one model, found ${JSON.stringify(records[other]!.generator)} after ${JSON.stringify(generator)}`,
    );
  }
  const outputs = records.map(({ instruction, output, dataset }) => ({
    instruction,
    output,
    ...(dataset == null ? {} : { dataset }),
  }));
  return { generator, outputs };
}

/** The instructions of such a file, or of one without outputs. */
export async function readInstructions(path: string): Promise<{ instruction: string; dataset?: string }[]> {
  const what = "instructions, such as alpaca_eval.json of the data set tatsu-lab/alpaca_eval";
  const records = await readJsonRecords(path, instructionRecord, what);
  return records.map(({ instruction, dataset }) => ({ instruction, ...(dataset == null ? {} : { dataset }) }));
}

/** The file's records, in the fields of the benchmark's own. */
export function modelOutputRecords({ generator, outputs }: ModelOutputs): unknown[] {
  return outputs.map(({ instruction, output, dataset }) => ({
    ...(dataset === undefined ? {} : { dataset }),
    instruction,
    output,
    generator,
  }));
}
