/** The tokenizer of the output, where the configuration names a vocabulary, and the token ids in its configs. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { copyFileAtomic, exists, writeJsonDocument } from "../../formats/files.ts";
import {
  isJsonNumber,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  jsonNumber,
  numberOf,
} from "../../formats/json-document.ts";
import { TOKEN_LISTS, tokenizerFiles } from "../../models/tokenizer-files.ts";
import type { OutputVocabulary } from "../vocabulary/output-vocabulary.ts";
import { readTokenizerFile, withTokens } from "../vocabulary/tokenizer-file.ts";
import { editDocument, withoutKey } from "./edit-document.ts";

export async function writeTokenizer(vocabulary: OutputVocabulary, donor: string, folder: string): Promise<void> {
  const { file, added, end } = vocabulary;
  const changed = added.length > 0 || [...file.vocabulary.values()].some((id) => id >= end);
  for (const name of await tokenizerFiles(folder)) await rm(join(folder, name));
  for (const name of await tokenizerFiles(vocabulary.folder)) {
    // The other lists of tokens are left out where tokens were added or taken out.
    if (!(changed && TOKEN_LISTS.includes(name)))
      await copyFileAtomic(join(vocabulary.folder, name), join(folder, name));
  }
  if (changed) {
    await writeJsonDocument(join(folder, "tokenizer.json"), withTokens(file.document, end, added));
    await editDocument(join(folder, "tokenizer_config.json"), (config) => {
      const old = config.get("added_tokens_decoder");
      if (!isJsonObject(old)) return config;
      const kept = [...old].filter(([id]) => Number(id) < end);
      const more = added.map(({ id, entry }) => [String(id), withoutKey(entry, "id")] as const);
      return new Map(config).set("added_tokens_decoder", new Map([...kept, ...more]));
    });
  }
  if (vocabulary.folder !== donor && (await exists(join(donor, "tokenizer.json")))) {
    const spelled = new Map([...(await readTokenizerFile(join(donor, "tokenizer.json"))).vocabulary].map(invert));
    const idOf = (id: number): number | null => vocabulary.tokens.get(spelled.get(id) ?? "") ?? null;
    for (const name of ["config.json", "generation_config.json"]) {
      await editDocument(join(folder, name), (config) => withTokenIds(config, idOf));
    }
  }
}

function invert([token, id]: readonly [string, number]): [number, string] {
  return [id, token];
}

/** `eos_token_id` and its like name tokens by the donor's ids; null where the new vocabulary lacks one. */
function withTokenIds(config: JsonObject, idOf: (id: number) => number | null): JsonObject {
  const translated = (value: JsonValue): JsonValue => {
    const id = isJsonNumber(value) ? idOf(numberOf(value)) : null;
    return id === null ? null : jsonNumber(id);
  };
  return new Map(
    [...config].map(([key, value]): [string, JsonValue] => {
      if (!key.endsWith("_token_id")) return [key, value];
      if (Array.isArray(value)) return [key, value.map(translated).filter((id) => id !== null)];
      return [key, isJsonNumber(value) ? translated(value) : value];
    }),
  );
}
