/** `fusechat inspect tokens`: ids and true byte spans of texts. No special tokens are added. */
import { readFile } from "node:fs/promises";
import { inputError } from "../errors.ts";
import { fileError, readText } from "../formats/files.ts";
import { textOnly } from "../models/reference.ts";
import { loadTokenizer } from "../tokenizer/load.ts";
import type { Encoding, Tokenizer } from "../tokenizer/tokenizer.ts";
import { modelFolder } from "./model-option.ts";
import type { Invocation } from "./verb.ts";

export interface TokensOptions {
  readonly model?: string;
  /** One text, the whole file. */
  readonly textFile?: string;
  /** One JSON string a line. */
  readonly texts?: string;
}

/** Texts encoded and printed at a time. */
const TEXTS_AT_ONCE = 256;

export async function inspectTokens(invocation: Invocation, options: TokensOptions): Promise<void> {
  const { model, textFile, texts: textsFile } = options;
  if (model === undefined) throw inputError("--model", "is needed by inspect tokens");
  if ((textFile === undefined) === (textsFile === undefined)) {
    throw inputError("inspect tokens", "expected either --text-file or --texts");
  }
  const texts = textFile !== undefined ? [await readWholeText(textFile)] : await readTexts(textsFile!);
  const tokenizer = await loadTokenizer(await modelFolder(invocation, model, textOnly));
  for (let first = 0; first < texts.length; first += TEXTS_AT_ONCE) {
    const batch = texts.slice(first, first + TEXTS_AT_ONCE);
    for (const [index, encoding] of (await tokenizer.encodeBatch(batch)).entries()) {
      invocation.print(tokenLines(batch[index]!, encoding, tokenizer));
      invocation.document({
        ids: [...encoding.ids],
        byte_start: [...encoding.byteStart],
        byte_end: [...encoding.byteEnd],
      });
    }
  }
}

/** Every byte counts: a byte order mark is part of the text here, unlike in files that only carry text. */
async function readWholeText(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw fileError(path, error);
  }
  const text = decodeUtf8(bytes);
  if (text === null) throw inputError(path, "expected UTF-8 text, found other bytes");
  return text;
}

/** One JSON string a line; all bad lines are told together. */
async function readTexts(path: string): Promise<string[]> {
  const texts: string[] = [];
  for (const [index, line] of (await readText(path)).split("\n").entries()) {
    if (line.trim() === "") continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      value = undefined;
    }
    if (typeof value !== "string") {
      throw inputError(`${path}:${index + 1}`, `expected a JSON string, found ${line.slice(0, 40)}`);
    }
    texts.push(value);
  }
  if (texts.length === 0) throw inputError(path, "expected JSON strings, one a line, found none");
  return texts;
}

/** A line a token: span, id, spelling in the file, and the text it stands for. */
function tokenLines(text: string, { ids, byteStart, byteEnd }: Encoding, tokenizer: Tokenizer): string {
  const bytes = Buffer.from(text, "utf8");
  const rows = [...ids].map((id, index) => [
    `${byteStart[index]}–${byteEnd[index]}`,
    String(id),
    tokenizer.tokenText(id) ?? "",
    quoted(bytes.subarray(byteStart[index], byteEnd[index])),
  ]);
  const table = [["bytes", "id", "token", "text"], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  const lines = table.map(([span, id, token, stands]) =>
    `${span!.padStart(widths[0]!)}  ${id!.padStart(widths[1]!)}  ${token!.padEnd(widths[2]!)}  ${stands}`.trimEnd(),
  );
  return [...lines, `${ids.length} tokens, ${bytes.length} bytes`, ""].join("\n");
}

/** Bytes as text; where they are not UTF-8 (part of a character) each as `\xNN`. */
export function visibleBytes(bytes: Uint8Array): string {
  return decodeUtf8(bytes) ?? [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

function quoted(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes);
  return text === null ? visibleBytes(bytes) : JSON.stringify(text);
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
