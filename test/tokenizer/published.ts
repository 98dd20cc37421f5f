/**
 * Published tokenizers, each opened once for all test files of a worker: it takes half a second and 30 MB, and a dozen
 * files want some of them.
 */
import { join, resolve } from "node:path";
import { loadTokenizer } from "#src/tokenizer/load.js";
import type { Tokenizer } from "#src/tokenizer/tokenizer.js";

export const PUBLISHED: string = resolve(import.meta.dirname, "../../../shared/data/tokenizers");

const opened = new Map<string, Promise<Tokenizer>>();

export function publishedTokenizer(name: string): Promise<Tokenizer> {
  const known = opened.get(name) ?? loadTokenizer(join(PUBLISHED, name));
  opened.set(name, known);
  return known;
}
