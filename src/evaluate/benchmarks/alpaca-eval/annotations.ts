/**
 * `annotations.json`: what a judge preferred, instruction by instruction: 1 is the baseline's answer, 2 the model's,
 * and anything between by how likely the judge was to say so.
 */
import { z } from "zod";
import { inputError } from "../../../errors.ts";
import { inOrder, type OrderOptions } from "./instruction-order.ts";
import { codePoints, readJsonRecords } from "./json-records.ts";
import type { JudgedPair, Judgments } from "./judged-pair.ts";

/** What AlpacaEval 2.0 compares with. */
export const BASELINE = "gpt4_1106_preview";

const DRAW = 1.5;

const annotationRecord = z.object({
  instruction: z.string(),
  output_1: z.string(),
  output_2: z.string(),
  generator_1: z.string(),
  generator_2: z.string(),
  annotator: z.string().nullish(),
  preference: z.number().nullable(),
  raw_completion: z.unknown().optional(),
});

type Annotation = z.infer<typeof annotationRecord>;

/** Of one model against `baseline`, in order. */
export async function readAnnotations(path: string, baseline: string, order: OrderOptions): Promise<Judgments> {
  const what = "AlpacaEval 2.0's annotations.json, as in alpaca_eval's results/<model>/weighted_alpaca_eval_gpt4_turbo";
  const records = await readJsonRecords(path, annotationRecord, what);
  const { generator_2: model, annotator } = records[0]!;
  for (const [at, record] of records.entries()) checkAnnotation(`${path}: record ${at + 1}`, record, baseline, model);
  const pairs = inOrder(path, records, order).map(pairOf);
  return { model, baseline, judge: annotator ?? "unknown", pairs };
}

function checkAnnotation(where: string, record: Annotation, baseline: string, model: string): void {
  const { generator_1, generator_2, preference } = record;
  if (generator_1 !== baseline) {
    throw inputError(
      where,
      `expected the baseline ${baseline} as generator_1, found ${JSON.stringify(generator_1)}; figures against another baseline do not compare`,
    );
  }
  if (generator_2 !== model) {
    throw inputError(where, `expected one model as generator_2, found ${generator_2} after ${model}`);
  }
  // Older files write a draw as 0.
  if (preference === null || preference === 0 || (preference >= 1 && preference <= 2)) return;
  throw inputError(where, `expected a preference from 1 to 2, or null, found ${preference}`);
}

function pairOf({ instruction, output_1, output_2, preference, raw_completion }: Annotation): JudgedPair {
  return {
    instruction,
    preference: preference === 0 ? DRAW : preference,
    length: codePoints(output_2),
    baselineLength: codePoints(output_1),
    isEmpty: output_2.trim() === "",
    ...(preference === null ? { answer: saidIn(raw_completion) } : {}),
  };
}

/** What the judge said, where the file has kept it. */
function saidIn(completion: unknown): string {
  const text = z.object({ text: z.string() }).safeParse(completion);
  if (text.success) return text.data.text;
  return typeof completion === "string" ? completion : "not in the file";
}
