/** What the answers of a model folder depend on: its weights, and the files that say how it is run and talked to. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { TemplateIdentity } from "../../data/template-settings.ts";
import { exists, sha256OfFile } from "../../formats/files.ts";
import { openWeights } from "../../formats/weights.ts";
import { tokenizerFiles } from "../../models/tokenizer-files.ts";

const CONFIGS = ["config.json", "generation_config.json"];

/** `folder ` and a SHA-256. Reads all weights, some 2 GB a second from the cache; where the folder lies does not matter. */
export async function folderIdentity(folder: string, template: TemplateIdentity): Promise<string> {
  const hash = createHash("sha256").update(await (await openWeights(folder)).sha256());
  for (const name of [...CONFIGS, ...(await tokenizerFiles(folder))]) {
    const path = join(folder, name);
    hash.update(`\n${name} ${(await exists(path)) ? await sha256OfFile(path) : "none"}`);
  }
  const { date, templateName, templateVariables } = template;
  hash.update(`\n${JSON.stringify([date, templateName, templateVariables])}`);
  return `folder ${hash.digest("hex")}`;
}
