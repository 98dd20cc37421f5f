/**
 * The files of the output that are not weights: config and generation config of the donor, tokenizer and chat template
 * of whoever the configuration says, else of the donor.
 */
import { join } from "node:path";
import { copyModelFiles } from "../../models/folder.ts";
import type { MergePlan } from "../plan.ts";
import { outputConfig } from "./config-file.ts";
import { editDocument } from "./edit-document.ts";
import { writeTemplates } from "./templates.ts";
import { replaceTokenizer, writeTokenizer } from "./tokenizer.ts";

/** `dtype` is that of the weights, by its name in PyTorch. */
export async function writeModelFiles(plan: MergePlan, folder: string, dtype: string): Promise<void> {
  const { donor, vocabulary, config } = plan;
  await copyModelFiles(donor.folder, folder, { torch_dtype: dtype });
  await editDocument(join(folder, "config.json"), (old) => outputConfig(old, plan));
  if (donor.tokenizerFolder !== donor.folder) await replaceTokenizer(donor.tokenizerFolder, folder);
  if (vocabulary !== undefined) await writeTokenizer(vocabulary, donor.folder, folder);
  if (vocabulary !== undefined || config.chat_template !== undefined) await writeTemplates(plan, folder);
}
