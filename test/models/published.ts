/** Configs of models of real size, as published: the fields that sizes follow from. */

const MISTRAL = {
  model_type: "mistral",
  hidden_act: "silu",
  hidden_size: 4096,
  intermediate_size: 14_336,
  max_position_embeddings: 8192,
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  sliding_window: null,
  tie_word_embeddings: false,
} as const;

export const MISTRAL_7B = { ...MISTRAL, vocab_size: 32_002 } as const;

export const SOLAR_10_7B = {
  ...{ model_type: "llama", hidden_act: "silu", hidden_size: 4096, intermediate_size: 14_336 },
  ...{ max_position_embeddings: 4096, num_attention_heads: 32, num_hidden_layers: 48, num_key_value_heads: 8 },
  ...{ rms_norm_eps: 1e-5, rope_theta: 10_000, tie_word_embeddings: false, vocab_size: 32_000 },
} as const;

export const INTERNLM2_20B = {
  ...{ model_type: "internlm2", hidden_act: "silu", hidden_size: 6144, intermediate_size: 16_384, bias: false },
  ...{ max_position_embeddings: 32_768, num_attention_heads: 48, num_hidden_layers: 48, num_key_value_heads: 8 },
  ...{ rms_norm_eps: 1e-5, rope_theta: 1_000_000, tie_word_embeddings: false, vocab_size: 92_544 },
} as const;

export const MIXTRAL_8X7B = {
  ...{ model_type: "mixtral", hidden_act: "silu", hidden_size: 4096, intermediate_size: 14_336 },
  ...{ max_position_embeddings: 32_768, num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 8 },
  ...{ num_experts_per_tok: 2, num_local_experts: 8, rms_norm_eps: 1e-5, rope_theta: 1_000_000 },
  ...{ sliding_window: null, tie_word_embeddings: false, vocab_size: 32_000 },
} as const;

export const QWEN_72B = {
  ...{ model_type: "qwen2", hidden_act: "silu", hidden_size: 8192, intermediate_size: 24_576 },
  ...{ max_position_embeddings: 32_768, num_attention_heads: 64, num_hidden_layers: 80, num_key_value_heads: 64 },
  ...{ rms_norm_eps: 1e-6, rope_theta: 1_000_000, sliding_window: 32_768, use_sliding_window: false },
  ...{ tie_word_embeddings: false, vocab_size: 152_064 },
} as const;
