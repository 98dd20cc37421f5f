/** `fusechat report`: a run directory's report.html again, or that of a merged model. */
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { exists, writeFileAtomic } from "../formats/files.ts";
import { RECORD_FILE as MERGE_RECORD } from "../merge/record.ts";
import { RUN_FILES } from "../recipe/layout.ts";
import { renderMergeReport, renderReport } from "../report/index.ts";
import type { Verb } from "./verb.ts";

export const reportVerb: Verb = {
  name: "report",
  summary: "write the report of a run directory again, or that of a merged model",
  declare: (command) => {
    command.argument("<folder>", "run directory, or the output of fusechat merge");
  },
  run: async ({ print, document }, [folder = ""]) => {
    const path = join(folder, RUN_FILES.report);
    await writeFileAtomic(path, await pageOf(folder));
    print(path);
    document({ report: path });
    return undefined;
  },
};

async function pageOf(folder: string): Promise<string> {
  if (await exists(join(folder, RUN_FILES.recipe))) return renderReport(folder);
  if (!(await exists(join(folder, MERGE_RECORD)))) {
    throw inputError(
      folder,
      "expected a run directory or a merged model, found neither recipe.yaml nor merge.json in it",
    );
  }
  const page = await renderMergeReport(folder);
  if (page !== undefined) return page;
  throw inputError(folder, "its merge computed no coefficients to show; README.md says what was merged");
}
