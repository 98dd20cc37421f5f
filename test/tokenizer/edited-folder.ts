/** A copy of a golden model's tokenizer with its files changed, in a temporary folder. */
import { cp, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const GOLDEN_MODELS = resolve(import.meta.dirname, "../golden/models");

export interface TokenizerFile {
  added_tokens: Record<string, unknown>[];
  normalizer: unknown;
  pre_tokenizer: unknown;
  model: Record<string, unknown> & { vocab: Record<string, number> };
}

export async function editedFolder(
  model: string,
  edit: (tokenizer: TokenizerFile, config: Record<string, unknown>) => void,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-tokenizer-"));
  await cp(join(GOLDEN_MODELS, model), folder, { recursive: true, filter: (path) => !path.endsWith(".safetensors") });
  const tokenizer = JSON.parse(await readFile(join(folder, "tokenizer.json"), "utf8"));
  const config = JSON.parse(await readFile(join(folder, "tokenizer_config.json"), "utf8"));
  edit(tokenizer, config);
  await writeFile(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(config));
  return folder;
}
