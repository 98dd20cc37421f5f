/** Variants of the golden qwen2, whose head has 418 rows for 409 tokens, with its padding made to matter. */
import { cp, mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { readJson } from "#src/formats/files.js";
import { readSafetensors, type Tensor, writeSafetensors } from "#src/formats/safetensors.js";

const QWEN2: string = resolve(import.meta.dirname, "golden/models/qwen2");
export const TOKENS = 409;
export const HEAD_ROWS = 418;
const HIDDEN = 48;
const HEAD = "lm_head.weight";
const EMBEDDING = "model.embed_tokens.weight";

/** Tokens that the golden model likes best, one for each row of padding. */
const FAVOURITES = [195, 269, 320, 89, 260, 302, 57, 128, 0];

/** A model whose padding outshouts its favourite tokens: wherever one of those is likely, its shadow is likelier. */
export async function loudPadding(folder: string): Promise<string> {
  return variant(folder, HEAD_ROWS, (tensors) => {
    const head = tensors.get(HEAD)!.data as Float32Array;
    FAVOURITES.forEach((token, n) => {
      const shadow = head.slice(token * HIDDEN, (token + 1) * HIDDEN).map((weight) => 1.5 * weight);
      head.set(shadow, (TOKENS + n) * HIDDEN);
    });
  });
}

/** The same tokens under a head of more rows, or of fewer. */
export async function withRows(folder: string, rows: number): Promise<string> {
  return variant(folder, rows, (tensors) => {
    for (const name of [HEAD, EMBEDDING]) {
      const data = new Float32Array(rows * HIDDEN).map((_, place) => 0.05 * Math.sin(place));
      data.set((tensors.get(name)!.data as Float32Array).subarray(0, data.length));
      tensors.set(name, { dtype: "F32", shape: [rows, HIDDEN], data });
    }
  });
}

async function variant(folder: string, rows: number, change: (tensors: Map<string, Tensor>) => void): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const name of ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"]) {
    await cp(join(QWEN2, name), join(folder, name));
  }
  const config = (await readJson(join(QWEN2, "config.json"))) as object;
  await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, vocab_size: rows }));
  const tensors = new Map((await readSafetensors(join(QWEN2, "model.safetensors"))).tensors);
  change(tensors);
  await writeSafetensors(join(folder, "model.safetensors"), tensors);
  return folder;
}
