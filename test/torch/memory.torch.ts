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
const MIXTRAL = {
  ...{ model_type: "mixtral", vocab_size: 32_000, hidden_size: 4096, num_hidden_layers: LAYERS, sliding_window: null },
  ...{ num_attention_heads: 32, num_key_value_heads: 8, intermediate_size: 14_336, tie_word_embeddings: false },
  ...{ rms_norm_eps: 1e-5, max_position_embeddings: 32_768, hidden_act: "silu" },
  ...{ num_local_experts: 8, num_experts_per_tok: 2 },
};
const QWEN3_MOE = {
  ...{
    model_type: "qwen3_moe",
    vocab_size: 151_936,
    hidden_size: 2048,
    num_hidden_layers: LAYERS,
    sliding_window: null,
  },
  ...{ num_attention_heads: 32, num_key_value_heads: 4, head_dim: 128, tie_word_embeddings: false, hidden_act: "silu" },
  ...{ intermediate_size: 6144, moe_intermediate_size: 768, num_experts: 128, num_experts_per_tok: 8 },
  ...{ decoder_sparse_step: 1, mlp_only_layers: [], norm_topk_prob: true },
  ...{ rms_norm_eps: 1e-6, max_position_embeddings: 40_960 },
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
  { name: "Mixtral, rows by 8", config: MIXTRAL, kind: "rows", world: 8, tokens: 32_768 },
  { name: "Mixtral, trained by 8", config: MIXTRAL, kind: "train", world: 8, tokens: 8192 },
  { name: "Qwen3-MoE, rows by 8", config: QWEN3_MOE, kind: "rows", world: 8, tokens: 8192 },
  { name: "Qwen3-MoE, trained by 8", config: QWEN3_MOE, kind: "train", world: 8, tokens: 16_384 },
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
