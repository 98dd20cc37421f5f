/** What the report of a demonstration says beside its figures: how its settings were found, and what its checks found. */
import { join } from "node:path";
import { z } from "zod";
import { readChecked } from "../formats/checked-json.ts";
import { exists, writeFileAtomic, writeJson } from "../formats/files.ts";
import { RUN_FILES } from "../recipe/layout.ts";
import { renderReport } from "../report/index.ts";
import type { DemoResults } from "./demo.ts";
import { HELD_OUT_CONVERSATIONS } from "./demo-recipe.ts";
import type { SweepLine, SweepResult } from "./sweep.ts";

/** Writes the notes into the run directory and the report anew. */
export async function annotateReport(run: string, results: DemoResults, sweepFile: string): Promise<void> {
  const sweep = (await exists(sweepFile)) ? await readChecked(sweepFile, sweepDocument, "the result of a sweep") : null;
  const notes = [
    "The floor is exact: the conversations come from the laboratory's generator, which knows the probability of every answer. 0 above the floor is a perfect model.",
    ...(sweep === null ? [] : sweepNotes(sweep)),
    ...results.checks.map(({ name, passed, detail }) => `Check ${passed ? "passed" : "FAILED"}: ${name} (${detail}).`),
    "Intervals cover the held-out conversations, not training seeds.",
  ];
  await writeJson(join(run, "evaluate/notes.json"), { notes });
  await writeFileAtomic(join(run, RUN_FILES.report), await renderReport(run));
}

/** Of a sweep what the notes tell. */
type ToldSweep = Omit<SweepResult, "lines"> & {
  readonly lines: readonly (Omit<SweepLine, "above_floor"> & {
    readonly above_floor: Pick<SweepLine["above_floor"], "value" | "low" | "high">;
  })[];
};

const figure = z.number();
const sweepDocument: z.ZodType<ToldSweep> = z.object({
  draw: z.literal("validation"),
  chosen: z.object({ lr: figure, epochs: figure, lambda: figure }),
  lines: z.array(
    z.object({
      lr: figure,
      epochs: figure,
      lambda: figure.nullable(),
      model: z.string(),
      above_floor: z.object({ value: figure, low: figure, high: figure }),
    }),
  ),
});

export function sweepNotes({ chosen, lines }: ToldSweep): string[] {
  const described = (chosenLines: ToldSweep["lines"], setting: (line: ToldSweep["lines"][number]) => string): string =>
    chosenLines
      .map((line) => {
        const { value, low, high } = line.above_floor;
        return `${setting(line)}: ${value.toFixed(4)} [${low.toFixed(4)}, ${high.toFixed(4)}]`;
      })
      .join("; ");
  const sft = lines.filter(({ model }) => model === "sft");
  const fused = lines.filter(({ model }) => model === "fused");
  return [
    `Learning rate ${chosen.lr}, ${chosen.epochs} epochs and lambda ${chosen.lambda} were fixed on ${HELD_OUT_CONVERSATIONS} conversations of a validation draw, never on the held-out one: learning rate and epochs where plain fine-tuning is best, then lambda where the fused model is.`,
    `Validation, plain fine-tuning, nats per byte above the floor: ${described(sft, ({ lr, epochs }) => `lr ${lr}, ${epochs} epochs`)}.`,
    `Validation, fused model: ${described(fused, ({ lr, lambda }) => `lr ${lr}, lambda ${lambda}`)}.`,
  ];
}
