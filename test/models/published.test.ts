/**
 * The configs of published checkpoints, by the fields that say how large a model is or that could be misread, and the
 * numbers of parameters their authors' files hold.
 */
import { describe, expect, test } from "vitest";
import { layerProgram } from "#src/engine/onnx/programs/layer.js";
import { modelFromConfig } from "#src/models/index.js";

/** Sizes in the order in which they are given below. */
const sizes = (
  hidden_size: number,
  intermediate_size: number,
  num_attention_heads: number,
  num_key_value_heads: number,
  num_hidden_layers: number,
  vocab_size: number,
) => ({
  hidden_size,
  intermediate_size,
  num_attention_heads,
  num_key_value_heads,
  num_hidden_layers,
  vocab_size,
});

const mistral = {
  architectures: ["MistralForCausalLM"],
  model_type: "mistral",
  hidden_act: "silu",
  sliding_window: 4096,
};
const llama = { architectures: ["LlamaForCausalLM"], model_type: "llama", hidden_act: "silu", pretraining_tp: 1 };
const qwen2 = {
  architectures: ["Qwen2ForCausalLM"],
  model_type: "qwen2",
  hidden_act: "silu",
  use_sliding_window: false,
};
const gemma3 = {
  architectures: ["Gemma3ForCausalLM"],
  model_type: "gemma3_text",
  attention_bias: false,
  attn_logit_softcapping: null,
  final_logit_softcapping: null,
  head_dim: 256,
  hidden_activation: "gelu_pytorch_tanh",
  query_pre_attn_scalar: 256,
  rope_local_base_freq: 10_000,
  rope_scaling: null,
  rope_theta: 1_000_000,
};
const phi3 = {
  architectures: ["Phi3ForCausalLM"],
  model_type: "phi3",
  auto_map: {
    AutoConfig: "configuration_phi3.Phi3Config",
    AutoModelForCausalLM: "modeling_phi3.Phi3ForCausalLM",
  },
  embd_pdrop: 0,
  resid_pdrop: 0,
};
const qwen3Moe = {
  architectures: ["Qwen3MoeForCausalLM"],
  model_type: "qwen3_moe",
  attention_bias: false,
  decoder_sparse_step: 1,
  head_dim: 128,
  mlp_only_layers: [],
  norm_topk_prob: true,
  num_experts_per_tok: 8,
  rope_theta: 1_000_000,
  use_sliding_window: false,
};
const olmo2 = { architectures: ["Olmo2ForCausalLM"], model_type: "olmo2", hidden_act: "silu", rope_theta: 500_000 };
const granite = {
  architectures: ["GraniteForCausalLM"],
  model_type: "granite",
  attention_bias: false,
  hidden_act: "silu",
  mlp_bias: false,
  rope_theta: 5_000_000,
  tie_word_embeddings: true,
};
const cohere2 = {
  architectures: ["Cohere2ForCausalLM"],
  model_type: "cohere2",
  attention_bias: false,
  head_dim: 128,
  hidden_act: "silu",
  layer_norm_eps: 1e-5,
  logit_scale: 0.25,
  order_of_interleaved_layers: "local_attn_first",
  position_embedding_type: "rope_gptj",
  rope_theta: 50_000,
  rotary_pct: 1,
  sliding_window: 4096,
  sliding_window_pattern: 4,
  use_parallel_block: true,
  use_qk_norm: false,
};
/** The larger sizes write few fields. */
const gemma3Wrapper = (text: Readonly<Record<string, unknown>>) => ({
  architectures: ["Gemma3ForConditionalGeneration"],
  model_type: "gemma3",
  text_config: {
    model_type: "gemma3_text",
    rope_scaling: { factor: 8, rope_type: "linear" },
    sliding_window: 1024,
    ...text,
  },
});
const stretched = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};

const PUBLISHED: Readonly<Record<string, readonly [parameters: number, config: Readonly<Record<string, unknown>>]>> = {
  "Mistral-7B-v0.1": [7_241_732_096, { ...mistral, ...sizes(4096, 14_336, 32, 8, 32, 32_000) }],
  "OpenChat-3.5-0106": [
    7_241_748_480,
    { ...mistral, ...sizes(4096, 14_336, 32, 8, 32, 32_002), max_position_embeddings: 8192, rope_theta: 10_000 },
  ],
  "Starling-LM-7B-alpha": [
    7_241_748_480,
    {
      ...mistral,
      ...sizes(4096, 14_336, 32, 8, 32, 32_002),
      max_position_embeddings: 8192,
      tie_word_embeddings: false,
    },
  ],
  "Nous-Hermes-2-SOLAR-10.7B": [
    10_731_540_480,
    { ...llama, ...sizes(4096, 14_336, 32, 8, 48, 32_002), attention_bias: false, rope_scaling: null },
  ],
  "InternLM2-Chat-20B": [
    19_861_149_696,
    {
      architectures: ["InternLM2ForCausalLM"],
      model_type: "internlm2",
      auto_map: {
        AutoConfig: "configuration_internlm2.InternLM2Config",
        AutoModel: "modeling_internlm2.InternLM2ForCausalLM",
        AutoModelForCausalLM: "modeling_internlm2.InternLM2ForCausalLM",
      },
      attn_implementation: "eager",
      bias: false,
      ...sizes(6144, 16_384, 48, 8, 48, 92_544),
      max_position_embeddings: 32_768,
      rope_scaling: { factor: 3, type: "dynamic" },
      rope_theta: 1_000_000,
    },
  ],
  "Qwen1.5-72B-Chat": [
    72_287_920_128,
    { ...qwen2, ...sizes(8192, 24_576, 64, 64, 80, 152_064), sliding_window: 4096, max_window_layers: 70 },
  ],
  "Llama-2-7B": [6_738_415_616, { ...llama, ...sizes(4096, 11_008, 32, 32, 32, 32_000), rope_scaling: null }],
  "Llama-3.1-8B": [
    8_030_261_248,
    { ...llama, ...sizes(4096, 14_336, 32, 8, 32, 128_256), rope_theta: 500_000, rope_scaling: stretched },
  ],
  "Llama-3.2-1B": [
    1_235_814_400,
    {
      ...llama,
      ...sizes(2048, 8192, 32, 8, 16, 128_256),
      head_dim: 64,
      tie_word_embeddings: true,
      rope_theta: 500_000,
      rope_scaling: { ...stretched, factor: 32 },
    },
  ],
  "TinyLlama-1.1B": [1_100_048_384, { ...llama, ...sizes(2048, 5632, 32, 4, 22, 32_000) }],
  "SmolLM2-135M": [
    134_515_008,
    {
      ...llama,
      ...sizes(576, 1536, 9, 3, 30, 49_152),
      is_llama_config: true,
      rope_interleaved: false,
      rope_theta: 100_000,
      tie_word_embeddings: true,
    },
  ],
  "Yi-34B": [34_388_917_248, { ...llama, ...sizes(7168, 20_480, 56, 8, 60, 64_000), rope_theta: 5_000_000 }],
  "Qwen2.5-0.5B": [
    494_032_768,
    {
      ...qwen2,
      ...sizes(896, 4864, 14, 2, 24, 151_936),
      max_window_layers: 24,
      sliding_window: 32_768,
      tie_word_embeddings: true,
      use_mrope: false,
    },
  ],
  "Qwen3-0.6B": [
    596_049_920,
    {
      architectures: ["Qwen3ForCausalLM"],
      model_type: "qwen3",
      attention_bias: false,
      ...sizes(1024, 3072, 16, 8, 28, 151_936),
      head_dim: 128,
      max_window_layers: 28,
      rope_theta: 1_000_000,
      sliding_window: null,
      tie_word_embeddings: true,
      use_sliding_window: false,
    },
  ],
  "gemma-2-2b-it": [
    2_614_341_888,
    {
      architectures: ["Gemma2ForCausalLM"],
      model_type: "gemma2",
      attention_bias: false,
      attn_logit_softcapping: 50,
      cache_implementation: "hybrid",
      final_logit_softcapping: 30,
      hidden_act: "gelu_pytorch_tanh",
      hidden_activation: "gelu_pytorch_tanh",
      ...sizes(2304, 9216, 8, 4, 26, 256_000),
      head_dim: 256,
      query_pre_attn_scalar: 256,
      sliding_window: 4096,
    },
  ],
  "gemma-3-270m": [268_098_176, { ...gemma3, ...sizes(640, 2048, 4, 1, 18, 262_144), sliding_window: 512 }],
  "gemma-3-1b-it": [
    999_885_952,
    { ...gemma3, ...sizes(1152, 6912, 4, 1, 26, 262_144), sliding_window: 512, sliding_window_pattern: 6 },
  ],
  // Of the wrappers the decoder's: those of the whole files without SigLIP's 416,866,032 and the projector.
  "gemma-3-4b-it": [
    4_300_079_472 - 416_866_032 - 2_950_272,
    gemma3Wrapper({ hidden_size: 2560, intermediate_size: 10_240, num_hidden_layers: 34 }),
  ],
  "gemma-3-12b-it": [
    12_187_325_040 - 416_866_032 - 4_424_832,
    gemma3Wrapper({
      hidden_size: 3840,
      intermediate_size: 15_360,
      num_attention_heads: 16,
      num_hidden_layers: 48,
      num_key_value_heads: 8,
    }),
  ],
  "gemma-3-27b-it": [
    27_432_406_640 - 416_866_032 - 6_194_304,
    gemma3Wrapper({
      head_dim: 128,
      hidden_size: 5376,
      intermediate_size: 21_504,
      num_attention_heads: 32,
      num_hidden_layers: 62,
      num_key_value_heads: 16,
      query_pre_attn_scalar: 168,
    }),
  ],
  // As many as Mistral Small 3, which is the decoder alone.
  "Mistral-Small-3.1-24B": [
    23_572_403_200,
    {
      architectures: ["Mistral3ForConditionalGeneration"],
      model_type: "mistral3",
      text_config: {
        model_type: "mistral",
        ...sizes(5120, 32_768, 32, 8, 40, 131_072),
        head_dim: 128,
        hidden_act: "silu",
        max_position_embeddings: 131_072,
        rope_theta: 1_000_000_000,
        sliding_window: null,
      },
    },
  ],
  "Qwen3-30B-A3B": [
    30_532_122_624,
    { ...qwen3Moe, ...sizes(2048, 6144, 32, 4, 48, 151_936), num_experts: 128, moe_intermediate_size: 768 },
  ],
  "Qwen3-235B-A22B": [
    235_093_634_560,
    { ...qwen3Moe, ...sizes(4096, 12_288, 64, 4, 94, 151_936), num_experts: 128, moe_intermediate_size: 1536 },
  ],
  "Qwen3-Coder-480B-A35B": [
    480_154_875_392,
    { ...qwen3Moe, ...sizes(6144, 8192, 96, 8, 62, 151_936), num_experts: 160, moe_intermediate_size: 2560 },
  ],
  "OLMo-2-0425-1B": [1_484_916_736, { ...olmo2, ...sizes(2048, 8192, 16, 16, 16, 100_352) }],
  "OLMo-2-1124-7B": [7_298_617_344, { ...olmo2, ...sizes(4096, 11_008, 32, 32, 32, 100_352) }],
  "OLMo-2-1124-13B": [13_716_198_400, { ...olmo2, ...sizes(5120, 13_824, 40, 40, 40, 100_352) }],
  "OLMo-2-0325-32B": [32_234_279_936, { ...olmo2, ...sizes(5120, 27_648, 40, 8, 64, 100_352) }],
  "granite-3.1-2b-instruct": [
    2_533_531_648,
    {
      ...granite,
      ...sizes(2048, 8192, 32, 8, 40, 49_155),
      attention_multiplier: 0.015_625,
      embedding_multiplier: 12,
      logits_scaling: 8,
      residual_multiplier: 0.22,
    },
  ],
  "granite-3.1-8b-instruct": [
    8_170_848_256,
    {
      ...granite,
      ...sizes(4096, 12_800, 32, 8, 40, 49_155),
      attention_multiplier: 0.007_812_5,
      embedding_multiplier: 12,
      logits_scaling: 16,
      residual_multiplier: 0.22,
    },
  ],
  "SmolLM3-3B": [
    3_075_098_624,
    {
      architectures: ["SmolLM3ForCausalLM"],
      model_type: "smollm3",
      hidden_act: "silu",
      ...sizes(2048, 11_008, 16, 4, 36, 128_256),
      no_rope_layer_interval: 4,
      no_rope_layers: Array.from({ length: 36 }, (_, layer) => (layer % 4 === 3 ? 0 : 1)),
      layer_types: new Array(36).fill("full_attention"),
      pretraining_tp: 2,
      rope_theta: 5_000_000,
      sliding_window: null,
      use_sliding_window: false,
    },
  ],
  "Phi-4-mini-instruct": [
    3_836_021_760,
    {
      ...phi3,
      ...sizes(3072, 8192, 24, 8, 32, 200_064),
      full_attn_mod: 1,
      interpolate_factor: 1,
      lm_head_bias: false,
      max_position_embeddings: 131_072,
      original_max_position_embeddings: 4096,
      partial_rotary_factor: 0.75,
      rope_scaling: { long_factor: new Array(48).fill(2), short_factor: new Array(48).fill(1), type: "longrope" },
      sliding_window: 262_144,
      tie_word_embeddings: true,
    },
  ],
  "Phi-3-mini-128k": [
    3_821_079_552,
    {
      ...phi3,
      ...sizes(3072, 8192, 32, 32, 32, 32_064),
      max_position_embeddings: 131_072,
      original_max_position_embeddings: 4096,
      rope_scaling: { long_factor: new Array(48).fill(2), short_factor: new Array(48).fill(1), type: "su" },
      sliding_window: 262_144,
    },
  ],
  "Qwen2.5-7B-Instruct": [
    7_615_616_512,
    {
      ...qwen2,
      ...sizes(3584, 18_944, 28, 4, 28, 152_064),
      max_position_embeddings: 32_768,
      max_window_layers: 28,
      // As its model card says to write it for longer contexts.
      rope_scaling: { factor: 4, original_max_position_embeddings: 32_768, type: "yarn" },
      rope_theta: 1_000_000,
    },
  ],
  "GLM-4-9B-0414": [
    9_400_279_040,
    {
      architectures: ["Glm4ForCausalLM"],
      model_type: "glm4",
      attention_bias: true,
      head_dim: 128,
      hidden_act: "silu",
      ...sizes(4096, 13_696, 32, 2, 40, 151_552),
      max_position_embeddings: 32_768,
      partial_rotary_factor: 0.5,
      rope_theta: 10_000,
    },
  ],
  "c4ai-command-r7b-12-2024": [8_028_033_024, { ...cohere2, ...sizes(4096, 14_336, 32, 8, 32, 256_000) }],
  "c4ai-command-a-03-2025": [111_057_580_032, { ...cohere2, ...sizes(12_288, 36_864, 96, 8, 64, 256_000) }],
  "internlm3-8b-instruct": [
    8_804_241_408,
    {
      architectures: ["InternLM3ForCausalLM"],
      model_type: "internlm3",
      auto_map: {
        AutoConfig: "configuration_internlm3.InternLM3Config",
        AutoModelForCausalLM: "modeling_internlm3.InternLM3ForCausalLM",
      },
      bias: false,
      head_dim: 128,
      ...sizes(4096, 10_240, 32, 2, 48, 128_512),
      max_position_embeddings: 32_768,
      qkv_bias: false,
      rope_scaling: { factor: 6, rope_type: "dynamic" },
      rope_theta: 50_000_000,
    },
  ],
  "Phi-3-mini-4k": [
    3_821_079_552,
    {
      ...phi3,
      ...sizes(3072, 8192, 32, 32, 32, 32_064),
      max_position_embeddings: 4096,
      original_max_position_embeddings: 4096,
      rope_scaling: null,
      sliding_window: 2047,
    },
  ],
};

const open = (name: string) => modelFromConfig("folder", "config.json", PUBLISHED[name]![1]);

test.each(Object.entries(PUBLISHED))("%s has as many parameters as its authors' files", (name, [parameters]) => {
  expect(open(name).parameters).toBe(parameters);
});

test("a model of 80 layers is read in a moment", () => {
  open("Qwen1.5-72B-Chat");
  const start = performance.now();
  open("Qwen1.5-72B-Chat");
  // It takes 10 to 16 ms on a quiet machine of 2024.
  expect(performance.now() - start).toBeLessThan(500);
});

describe("layers of one kind are one program, once the prefix of their weights is left out", () => {
  test.each([
    ["OpenChat-3.5-0106", 1],
    ["InternLM2-Chat-20B", 1],
    ["Llama-3.2-1B", 1],
    ["Qwen3-0.6B", 1],
    ["Phi-3-mini-4k", 1],
    ["gemma-2-2b-it", 2],
    ["gemma-3-270m", 2],
    ["SmolLM3-3B", 2],
    ["c4ai-command-r7b-12-2024", 2],
    ["GLM-4-9B-0414", 1],
    ["OLMo-2-1124-7B", 1],
  ])("%s: %i", (name, kinds) => {
    const layers = Math.min(6, open(name).config.layers);
    // Longer than Gemma's window, which its layers have by turns.
    const model = modelFromConfig("folder", "config.json", { ...PUBLISHED[name]![1], sliding_window: windowOf(name) });
    const programs = Array.from({ length: layers }, (_, index) => layerProgram(model, index, { batch: 1, length: 12 }));
    expect(new Set(programs.map(({ onnx }) => Buffer.from(onnx).toString("base64"))).size).toBe(kinds);
    for (const { inputs } of programs) expect(inputs.filter((input) => input.includes("layers."))).toEqual([]);
  });
});

/** A window that is shorter than the sequence above, where the model has one at all. */
function windowOf(name: string): number | null {
  return PUBLISHED[name]![1].sliding_window === undefined || PUBLISHED[name]![1].sliding_window === null ? null : 8;
}
