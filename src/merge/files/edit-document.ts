/** Changes in JSON files of the output; whatever is not changed stays as it was written. */
import { exists, readJsonDocument, writeJsonDocument } from "../../formats/files.ts";
import { isJsonObject, type JsonObject } from "../../formats/json-document.ts";

/** Leaves a file that is not there alone. */
export async function editDocument(path: string, edit: (document: JsonObject) => JsonObject): Promise<void> {
  if (!(await exists(path))) return;
  const document = await readJsonDocument(path);
  if (isJsonObject(document)) await writeJsonDocument(path, edit(document));
}

/** Empty where there is no such file. */
export async function readDocument(path: string): Promise<JsonObject> {
  const document = (await exists(path)) ? await readJsonDocument(path) : null;
  return isJsonObject(document) ? document : new Map();
}

export function withoutKey(document: JsonObject, key: string): JsonObject {
  const rest = new Map(document);
  rest.delete(key);
  return rest;
}
