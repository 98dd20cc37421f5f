/** The tokenizer of the output, where the configuration names a vocabulary. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { copyFileAtomic, writeJsonDocument } from "../../formats/files.ts";
import { isJsonObject } from "../../formats/json-document.ts";
import { TOKEN_LISTS, TOKENIZER_CONFIG, tokenizerFiles } from "../../models/tokenizer-files.ts";
import { writeDerivedTokenizer } from "../../tokenizer/tokenizer-source.ts";
import { withTokens } from "../vocabulary/change-tokens.ts";
import type { OutputVocabulary } from "../vocabulary/output-vocabulary.ts";
import { editDocument, withoutKey } from "./edit-document.ts";
import { writeTokenIds } from "./token-ids.ts";

/** The tokenizer of one folder in the place of another's, without some of its files. */
export async function replaceTokenizer(from: string, to: string, without: readonly string[] = []): Promise<void> {
  for (const name of await tokenizerFiles(to)) await rm(join(to, name));
  for (const name of await tokenizerFiles(from)) {
    if (!without.includes(name)) await copyFileAtomic(join(from, name), join(to, name));
  }
  if (without.length === 0) await writeDerivedTokenizer(from, to);
}

/** `donor` is the folder that the other files came from. */
export async function writeTokenizer(vocabulary: OutputVocabulary, donor: string, folder: string): Promise<void> {
  const { file, changes } = vocabulary;
  const { end, added, ordinary } = changes;
  const changed = added.length + ordinary.length > 0 || [...file.vocabulary.values()].some((id) => id >= end);
  // The other lists of tokens are left out where tokens were added or taken out.
  await replaceTokenizer(vocabulary.folder, folder, changed ? TOKEN_LISTS : []);
  if (changed) {
    await writeJsonDocument(join(folder, "tokenizer.json"), withTokens(file.document, changes));
    await editDocument(join(folder, TOKENIZER_CONFIG), (config) => {
      const old = config.get("added_tokens_decoder");
      if (!isJsonObject(old)) return config;
      const kept = [...old].filter(([id]) => Number(id) < end);
      const more = added.map(({ id, entry }) => [String(id), withoutKey(entry, "id")] as const);
      return new Map(config).set("added_tokens_decoder", new Map([...kept, ...more]));
    });
  }
  if (vocabulary.modelFolder !== donor) await writeTokenIds(vocabulary, donor, folder);
}
