/** Stages that write a line, so that a run takes no time: the order of work and what is kept is all there is to see. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { LoadedRecipe } from "#src/recipe/load.js";
import type { ReporterEvent } from "#src/reporter.js";
import { type RunOptions, type RunStages, type RunSummary, runUnits } from "#src/run/runner.js";

export interface FakeStages extends RunStages {
  /** The units that were performed, in order. */
  readonly performed: string[];
}

/** Writes a line into every output of a unit, and remembers which units were performed. */
export function fakes(interfere: (unit: string) => unknown = () => {}): FakeStages {
  const performed: string[] = [];
  return {
    performed,
    plan: async () => ({ steps: 1 }),
    renderReport: async () => "<!doctype html>",
    perform: async (unit, context) => {
      for (const output of unit.outputs) {
        const path = join(context.out, /\.[a-z]+$/.test(output) ? output : join(output, "file.txt"));
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, unit.work.kind === "gates" ? '{"gates": []}\n' : `${unit.id}\n`);
      }
      await interfere(unit.id);
      performed.push(unit.id);
    },
  };
}

export interface FakeRun {
  readonly summary: RunSummary;
  readonly events: readonly ReporterEvent[];
}

/** Runs a recipe in `out` through `stages`; no unit asks for an engine. */
export async function runFakes(
  { recipe, text, file }: LoadedRecipe,
  out: string,
  stages: RunStages,
  more: Partial<RunOptions> & { signal?: AbortSignal } = {},
): Promise<FakeRun> {
  const { signal, ...options } = more;
  const events: ReporterEvent[] = [];
  const summary = await runUnits(
    recipe,
    { out, recipeText: text, recipeFile: file, ...options },
    {
      reporter: { report: (event) => void events.push(event) },
      createEngine: () => Promise.reject(new Error("no unit asks for the engine")),
      ...(signal === undefined ? {} : { signal }),
    },
    stages,
  );
  return { summary, events };
}

/** The sentences of one kind of event. */
export function told(events: readonly ReporterEvent[], type: "warning" | "end"): string[] {
  return events.flatMap((event) =>
    event.type !== type ? [] : [event.type === "warning" ? event.message : (event as { summary: string }).summary],
  );
}
