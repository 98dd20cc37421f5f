/** The chat templates of the output, where the configuration names a template or a vocabulary. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { DEFAULT_TEMPLATE, readTemplates, type TemplateSource } from "../../data/template-files.ts";
import { inputError } from "../../errors.ts";
import { writeFileAtomic } from "../../formats/files.ts";
import {
  PROCESSOR_CONFIG,
  PROCESSOR_TEMPLATE_FILE,
  TEMPLATE_FILE,
  TEMPLATE_FOLDER,
  TEMPLATE_SUFFIX,
  TOKENIZER_CONFIG,
} from "../../models/tokenizer-files.ts";
import { CHAT_TEMPLATES } from "../chat-templates.ts";
import type { MergePlan } from "../plan.ts";
import { editDocument, withoutKey } from "./edit-document.ts";

type Templates = ReadonlyMap<string, TemplateSource>;

/** The chosen template, or those of the tokenizer's model, in files of their own. */
export async function writeTemplates(
  { config, models, base, donor, vocabulary }: MergePlan,
  folder: string,
): Promise<void> {
  const own = vocabulary?.folder ?? donor.tokenizerFolder;
  const templates = await chosenTemplates(config.chat_template, own, [
    ...models,
    ...(base === undefined ? [] : [base]),
  ]);
  for (const name of [PROCESSOR_TEMPLATE_FILE, PROCESSOR_CONFIG, TOKENIZER_CONFIG]) {
    await editDocument(join(folder, name), (document) => withoutKey(document, "chat_template"));
  }
  await rm(join(folder, PROCESSOR_TEMPLATE_FILE), { force: true });
  await rm(join(folder, TEMPLATE_FILE), { force: true });
  await rm(join(folder, TEMPLATE_FOLDER), { recursive: true, force: true });
  for (const [name, { path, source }] of templates) {
    await writeFileAtomic(join(folder, templateFileName(name, path)), source);
  }
}

async function chosenTemplates(
  setting: string | undefined,
  own: string,
  inputs: readonly { readonly tokenizerFolder: string }[],
): Promise<Templates> {
  if (setting === undefined) return readTemplates(own);
  if (setting !== "auto") {
    return new Map([[DEFAULT_TEMPLATE, { path: own, source: CHAT_TEMPLATES[setting] ?? setting }]]);
  }
  return (await mostFrequent(inputs.map(({ tokenizerFolder }) => tokenizerFolder))) ?? (await readTemplates(own));
}

/** Models are counted by their default templates. */
async function mostFrequent(folders: readonly string[]): Promise<Templates | undefined> {
  const counts = new Map<string, { readonly templates: Templates; count: number }>();
  for (const folder of folders) {
    const templates = await readTemplates(folder);
    const source = templates.get(DEFAULT_TEMPLATE)?.source;
    if (source === undefined) continue;
    const counted = counts.get(source) ?? { templates, count: 0 };
    counted.count += 1;
    counts.set(source, counted);
  }
  return [...counts.values()].sort((a, b) => b.count - a.count)[0]?.templates;
}

/** Where transformers looks for a template of that name. */
function templateFileName(name: string, path: string): string {
  if (name === DEFAULT_TEMPLATE) return TEMPLATE_FILE;
  if (!/^[\w.-]+$/.test(name)) {
    throw inputError(
      path,
      `expected the name of a template to be letters, digits, ".", "_" and "-", found ${JSON.stringify(name)}`,
    );
  }
  return `${TEMPLATE_FOLDER}/${name}${TEMPLATE_SUFFIX}`;
}
