/** What a benchmark is handed in these tests: an engine that must not be asked, and a reporter that is read. */
import type { StageContext } from "#src/engine/context.js";
import { type ReporterEvent, silent } from "#src/reporter.js";

export function contextWithoutEngine(): StageContext & { readonly warnings: string[] } {
  const warnings: string[] = [];
  const notAsked = () => Promise.reject(new Error("not asked for"));
  return {
    engine: { kind: "none", facts: notAsked, open: notAsked, train: notAsked, dispose: async () => {} },
    reporter: {
      report: (event: ReporterEvent) => {
        if (event.type === "warning") warnings.push(event.message);
        silent.report(event);
      },
    },
    warnings,
  };
}
