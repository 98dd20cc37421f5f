/**
 * The formula that plans reckon with, against FSDP2's memory tracker on fake tensors: the very modules, at the widths of
 * real models and of few layers, which take the tracker longest.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, inject, test } from "vitest";
import { tensorBytes } from "#src/engine/torch/memory.js";
import { modelFromConfig } from "#src/models/index.js";
import { modelSizes } from "#src/models/sizes.js";

const { python } = inject("torch");
// With fewer none waits, gathered, while another computes.
const LAYERS = 3;

const MISTRAL_7B = {
  ...{ model_type: "mistral", vocab_size: 32_002, hidden_size: 4096, num_hidden_layers: LAYERS, sliding_window: null },
  ...{ num_attention_heads: 32, num_key_value_heads: 8, intermediate_size: 14_336, tie_word_embeddings: false },
  ...{ rms_norm_eps: 1e-5, max_position_embeddings: 8192, hidden_act: "silu" },
};
const QWEN_7B = {
  ...{ model_type: "qwen2", vocab_size: 152_064, hidden_size: 3584, num_hidden_layers: LAYERS },
  ...{ num_attention_heads: 28, num_key_value_heads: 4, intermediate_size: 18_944, tie_word_embeddings: false },
  ...{ rms_norm_eps: 1e-6, max_position_embeddings: 32_768, hidden_act: "silu" },
};
const LORA = {
  rank: 16,
  targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
};

const CASES = [
  { name: "Mistral's width, trained by 8", config: MISTRAL_7B, kind: "train", world: 8, tokens: 8192 },
  { name: "Qwen's wide head, trained by 8", config: QWEN_7B, kind: "train", world: 8, tokens: 4096 },
  { name: "Qwen's wide head, trained by one", config: QWEN_7B, kind: "train", world: 1, tokens: 1024 },
  { name: "Mistral's width, adapters by one", config: MISTRAL_7B, kind: "lora", world: 1, tokens: 4096 },
  { name: "Mistral's width, rows by 8", config: MISTRAL_7B, kind: "rows", world: 8, tokens: 8192 },
] as const;

test("memory by the formula is within 6 % of what FSDP2's tracker counts", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-memory-"));
  try {
    const path = join(folder, "cases.json");
    await writeFile(path, JSON.stringify(CASES.map((one) => ({ ...one, ...LORA }))));
    const { stdout } = await promisify(execFile)(python, ["-m", "tests.memory", path], {
      cwd: resolve(import.meta.dirname, "../../python"),
    });
    const counted = stdout
      .trim()
      .split("\n")
      .map((line): { bytes: number; trained: number; parameters: number } => JSON.parse(line));
    expect(counted).toHaveLength(CASES.length);
    for (const [index, { name, config, kind, world, tokens }] of CASES.entries()) {
      const sizes = modelSizes(config, modelFromConfig(folder, "config.json", config).shapes);
      expect(sizes.parameters + (kind === "lora" ? counted[index]!.trained : 0), name).toBe(counted[index]!.parameters);
      const work = { processes: world, microTokens: tokens, compute: "bfloat16" } as const;
      const bytes = tensorBytes(
        sizes,
        kind === "rows"
          ? { ...work, kind, lora: null }
          : { ...work, kind: "train", lora: kind === "lora" ? LORA : null },
      );
      expect(bytes / counted[index]!.bytes, name).toBeGreaterThan(0.94);
      expect(bytes / counted[index]!.bytes, name).toBeLessThan(1.06);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 900_000);
