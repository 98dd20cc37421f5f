/** `fusechat report`: a run directory's report.html again. */
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { exists, writeFileAtomic } from "../formats/files.ts";
import { RUN_FILES } from "../recipe/layout.ts";
import { renderReport } from "../report/index.ts";
import type { Verb } from "./verb.ts";

export const reportVerb: Verb = {
  name: "report",
  summary: "write the report of a run directory again",
  declare: (command) => {
    command.argument("<run>", "run directory");
  },
  run: async ({ print, document }, [run = ""]) => {
    if (!(await exists(join(run, RUN_FILES.recipe)))) {
      throw inputError(run, "expected a run directory, found no recipe.yaml in it");
    }
    const path = join(run, RUN_FILES.report);
    await writeFileAtomic(path, await renderReport(run));
    print(path);
    document({ report: path });
    return undefined;
  },
};
