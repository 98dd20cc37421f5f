/** The `tokenizer`, `tokenizer_source` and `chat_template` of a configuration. */
import { suggestion } from "../errors.ts";
import type { KeyPath } from "../formats/yaml.ts";
import { CHAT_TEMPLATES } from "./chat-templates.ts";
import { type Complaints, isRecord, isUnset, show } from "./complaints.ts";
import type { TokenizerSetting, TokenSetting, TokenSource } from "./config.ts";
import { readFolder, refuseUnknown } from "./read-sources.ts";

const TOKENIZER_KEYS = ["source", "tokens", "pad_to_multiple_of"];
const TOKEN_KEYS = ["source", "force"];
const TOKEN_SOURCE_KEYS = ["kind", "model", "token", "token_id"];

/** Processors and several GPUs ask for 8 to 1,024; rows up to the multiple are made, each as wide as the model. */
const LARGEST_MULTIPLE = 1 << 16;

function isMultiple(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= LARGEST_MULTIPLE;
}

export function readTokenizer(
  document: Readonly<Record<string, unknown>>,
  complaints: Complaints,
): TokenizerSetting | undefined {
  const { tokenizer, tokenizer_source: legacy } = document;
  if (!isUnset(legacy)) {
    if (!isUnset(tokenizer)) {
      complaints.error(["tokenizer"], "expected either tokenizer or tokenizer_source, found both", "key");
    }
    const source = readSourceName(legacy, ["tokenizer_source"], complaints);
    return source === undefined ? undefined : { source };
  }
  if (isUnset(tokenizer)) return undefined;
  if (!isRecord(tokenizer)) {
    complaints.error(["tokenizer"], `expected a mapping with the key source, found ${show(tokenizer)}`);
    return undefined;
  }
  refuseUnknown(tokenizer, ["tokenizer"], TOKENIZER_KEYS, complaints);
  const source = isUnset(tokenizer.source)
    ? "union"
    : readSourceName(tokenizer.source, ["tokenizer", "source"], complaints);
  const multiple = tokenizer.pad_to_multiple_of;
  if (!isUnset(multiple) && !isMultiple(multiple)) {
    complaints.error(
      ["tokenizer", "pad_to_multiple_of"],
      `expected a whole number of 1 to ${LARGEST_MULTIPLE}, found ${show(multiple)}`,
    );
  }
  const tokens = readTokens(tokenizer.tokens, complaints);
  if (source === undefined) return undefined;
  return {
    source,
    ...(tokens !== undefined && { tokens }),
    ...(!isUnset(multiple) && { pad_to_multiple_of: Number(multiple) }),
  };
}

/** `union`, `base` or a model's folder, which older files write as `model:folder`. */
function readSourceName(value: unknown, path: KeyPath, complaints: Complaints): string | undefined {
  return readFolder(typeof value === "string" ? value.replace(/^model:/, "") : value, path, complaints);
}

function readTokens(value: unknown, complaints: Complaints): Record<string, TokenSetting> | undefined {
  if (isUnset(value)) return undefined;
  if (!isRecord(value)) {
    complaints.error(["tokenizer", "tokens"], `expected a mapping from tokens to settings, found ${show(value)}`);
    return undefined;
  }
  const settings: [string, TokenSetting][] = [];
  for (const [token, entry] of Object.entries(value)) {
    const path = ["tokenizer", "tokens", token];
    if (!isRecord(entry)) {
      complaints.error(path, `expected a mapping with the key source, found ${show(entry)}`);
      continue;
    }
    refuseUnknown(entry, path, TOKEN_KEYS, complaints);
    const { force } = entry;
    if (!isUnset(force) && typeof force !== "boolean") {
      complaints.error([...path, "force"], `expected true or false, found ${show(force)}`);
    }
    const source = readTokenSource(entry.source, [...path, "source"], complaints);
    if (source !== undefined) settings.push([token, { source, ...(force === true && { force }) }]);
  }
  return Object.fromEntries(settings);
}

function readTokenSource(value: unknown, path: KeyPath, complaints: Complaints): TokenSource | undefined {
  if (!isRecord(value)) return readFolder(value, path, complaints);
  refuseUnknown(value, path, TOKEN_SOURCE_KEYS, complaints);
  if (value.kind === "zero") return { kind: "zero" };
  if (value.kind !== "model_token") {
    complaints.error([...path, "kind"], `expected zero or model_token, found ${show(value.kind)}`);
    return undefined;
  }
  const model = readFolder(value.model, [...path, "model"], complaints);
  const { token, token_id: id } = value;
  const hasToken = typeof token === "string";
  const hasId = Number.isInteger(id) && Number(id) >= 0;
  if (hasToken === hasId) {
    complaints.error(path, "expected either token, a text, or token_id, a whole number");
    return undefined;
  }
  if (model === undefined) return undefined;
  return { kind: "model_token", model, ...(hasToken && { token }), ...(hasId && { token_id: Number(id) }) };
}

/** mergekit takes what is long enough and has a brace for a template. */
const SHORTEST_TEMPLATE = 20;

export function readChatTemplate(value: unknown, complaints: Complaints): string | undefined {
  if (isUnset(value)) return undefined;
  const names = ["auto", ...Object.keys(CHAT_TEMPLATES)];
  if (typeof value === "string") {
    if (names.includes(value)) return value;
    if (value.length >= SHORTEST_TEMPLATE && value.includes("{")) return value;
  }
  const hint = typeof value === "string" ? suggestion(value, names) : "";
  complaints.error(["chat_template"], `expected ${names.join(", ")} or a Jinja template, found ${show(value)}${hint}`);
  return undefined;
}
