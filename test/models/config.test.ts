import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ARCHITECTURES, checkWeights, modelFromConfig, openModel } from "#src/models/index.js";

const LLAMA = {
  model_type: "llama",
  hidden_size: 16,
  num_attention_heads: 4,
  num_hidden_layers: 2,
  intermediate_size: 24,
  vocab_size: 30,
};
const QWEN2 = { ...LLAMA, model_type: "qwen2", num_key_value_heads: 2 };
const QWEN3 = { ...QWEN2, model_type: "qwen3" };
const INTERNLM2 = { ...LLAMA, model_type: "internlm2" };
const PHI3 = { ...LLAMA, model_type: "phi3" };
const GEMMA2 = { ...QWEN2, model_type: "gemma2" };
const MISTRAL = { ...LLAMA, model_type: "mistral", num_key_value_heads: 2 };

const GEMMA3 = { ...QWEN2, model_type: "gemma3_text" };
const NAMES = ARCHITECTURES.map(({ name }) => name).join(", ");

const open = (config: unknown) => modelFromConfig("models/x", "models/x/config.json", config);

describe("what would change the numbers and is not supported is refused by name", () => {
  test.each([
    [{ ...LLAMA, hidden_act: "gelu" }, 'hidden_act: "gelu" is not supported (only "silu")'],
    [{ ...LLAMA, partial_rotary_factor: 0.5 }, "partial_rotary_factor: 0.5 is not supported (only 1)"],
    [{ ...LLAMA, pretraining_tp: 0 }, "pretraining_tp: expected a whole number of at least 1, found 0"],
    [{ ...LLAMA, sliding_window: 4096 }, "sliding_window: 4096 is not supported (leave it out)"],
    [{ ...LLAMA, rope_interleaved: true }, "rope_interleaved: true is not supported (only false)"],
    [{ ...LLAMA, use_qk_norm: true }, "use_qk_norm: true is not supported (only false)"],
    [{ ...LLAMA, attention_multiplier: 0.01 }, "attention_multiplier: 0.01 is not supported (leave it out)"],
    [{ ...LLAMA, logits_scaling: 8 }, "logits_scaling: 8 is not supported (only 1)"],
    [{ ...LLAMA, add_cross_attention: true }, "add_cross_attention: true is not supported (only false)"],
    [{ ...LLAMA, attention_dropout: 0.1 }, "attention_dropout: 0.1 is not supported (only 0)"],
    [{ ...MISTRAL, attention_bias: true }, "attention_bias: true is not supported (only false)"],
    [{ ...QWEN2, mlp_bias: true }, "mlp_bias: true is not supported (only false)"],
    [{ ...QWEN2, use_mrope: true }, "use_mrope: true is not supported (only false)"],
    [{ ...QWEN3, mlp_bias: true }, "mlp_bias: true is not supported (only false)"],
    [{ ...INTERNLM2, hidden_act: "gelu" }, 'hidden_act: "gelu" is not supported (only "silu")'],
    [{ ...INTERNLM2, head_dim: 8 }, "head_dim: expected hidden_size / num_attention_heads, found 8"],
    [
      { ...PHI3, partial_rotary_factor: 0.75 },
      "partial_rotary_factor: 0.75 of a head of 4 is 3 entries; expected an even number up to 4",
    ],
    [{ ...PHI3, lm_head_bias: true }, "lm_head_bias: true is not supported (only false)"],
    [
      { ...PHI3, partial_rotary_factor: 0.5, rope_parameters: { partial_rotary_factor: 1 } },
      "partial_rotary_factor: is 0.5 here and 1 among the rotary fields",
    ],
    [{ ...LLAMA, model_type: "olmo2", sliding_window: 8 }, "sliding_window: 8 is not supported (leave it out)"],
    [{ ...LLAMA, model_type: "olmo2", clip_qkv: 8 }, "clip_qkv: 8 is not supported (leave it out)"],
    [
      { ...LLAMA, model_type: "granite", residual_multiplier: 0 },
      "residual_multiplier: expected a number above 0, found 0",
    ],
    [
      { ...QWEN2, model_type: "smollm3", no_rope_layers: [1] },
      "no_rope_layers: expected a list of 2 zeros and ones, found [1]",
    ],
    [{ ...QWEN2, model_type: "glm4", mlp_bias: true }, "mlp_bias: true is not supported (only false)"],
    [
      { ...LLAMA, model_type: "cohere2", use_parallel_block: false },
      "use_parallel_block: false is not supported (only true)",
    ],
    [{ ...LLAMA, model_type: "cohere2", use_qk_norm: true }, "use_qk_norm: true is not supported (only false)"],
    [{ ...LLAMA, model_type: "cohere2", head_dim: 8 }, "head_dim: expected hidden_size / num_attention_heads, found 8"],
    [
      { ...QWEN2, model_type: "internlm3", qkv_bias: true, attention_bias: false },
      "qkv_bias: is true, and attention_bias is false",
    ],
    [
      { ...QWEN2, model_type: "qwen3_moe", num_experts: 4, num_local_experts: 8 },
      "num_experts: is 4, and num_local_experts is 8",
    ],
    [
      { ...QWEN2, model_type: "qwen3_moe", num_experts: 4 },
      "num_experts_per_tok: expected at most num_experts (4), found 8",
    ],
    [{ ...QWEN2, model_type: "qwen3_moe", mlp_only_layers: 3 }, "mlp_only_layers: expected a list of layers, found 3"],
    [{ ...PHI3, attention_bias: true }, "attention_bias: true is not supported (only false)"],
    [{ ...PHI3, resid_pdrop: 0.1 }, "resid_pdrop: 0.1 is not supported (only 0)"],
    [{ ...GEMMA2, hidden_activation: "gelu" }, 'hidden_activation: "gelu" is not supported (only "gelu_pytorch_tanh")'],
    [{ ...GEMMA2, hidden_act: "silu" }, 'hidden_act: "silu" is not supported (only "gelu_pytorch_tanh")'],
    [
      { ...GEMMA2, use_bidirectional_attention: true },
      "use_bidirectional_attention: true is not supported (only false)",
    ],
    [
      { ...GEMMA3, use_bidirectional_attention: true },
      "use_bidirectional_attention: true is not supported (only false)",
    ],
    [
      { ...GEMMA3, sliding_window: null },
      'sliding_window: "sliding_attention" needs a sliding window, and the config has none switched on',
    ],
    [
      { ...GEMMA3, rope_parameters: { rope_type: "default", rope_theta: 1e6 } },
      'rope_parameters: rope_type: "default" is not supported (leave it out)',
    ],
    [
      { ...GEMMA3, rope_parameters: { full_attention: { rope_theta: 1e6 } } },
      "rope_parameters: sliding_attention: expected the rotary fields of these layers, found nothing",
    ],
    [
      {
        ...GEMMA3,
        rope_local_base_freq: 5,
        rope_parameters: { full_attention: {}, sliding_attention: { rope_theta: 1 } },
      },
      "rope_local_base_freq: is 5 here and 1 among the rotary fields",
    ],
    [
      { ...GEMMA3, rope_scaling: { rope_type: "linear", factor: 8 }, rope_parameters: { full_attention: {} } },
      "rope_parameters: stands beside rope_scaling; leave one of the two",
    ],
    [{ ...LLAMA, hidden_activation: "gelu" }, 'hidden_activation: "gelu" is not supported (only "silu")'],
    [
      { ...LLAMA, layer_types: ["full_attention", "sliding_attention"] },
      'layer_types: "sliding_attention" is not supported here (only "full_attention")',
    ],
    [
      { ...MISTRAL, layer_types: ["sliding_attention", "full_attention"] },
      'layer_types: "full_attention" is not supported here (only "sliding_attention")',
    ],
    [
      { ...QWEN2, layer_types: ["full_attention", "sliding_attention"] },
      'layer_types: "sliding_attention" needs a sliding window, and the config has none switched on',
    ],
    [
      { ...QWEN2, use_sliding_window: true, layer_types: ["full_attention", "chunked_attention"] },
      'layer_types: "chunked_attention" is not supported (only "full_attention" or "sliding_attention")',
    ],
    [
      { ...QWEN2, use_sliding_window: true, layer_types: ["full_attention"] },
      "layer_types: expected a list of 2 names, one a layer",
    ],
    [
      { ...QWEN2, use_sliding_window: true, max_window_layers: -1 },
      "max_window_layers: expected a whole number, found -1",
    ],
  ])("%#", (config, message) => {
    expect(() => open(config)).toThrow(`models/x/config.json: ${message}`);
  });
});

describe("a config of another class, of code of its own or of quantised weights is refused", () => {
  test.each([
    [
      { ...MISTRAL, architectures: ["MistralForSequenceClassification"] },
      'architectures: expected the causal language model of mistral, found ["MistralForSequenceClassification"]',
    ],
    [
      { ...INTERNLM2, architectures: ["InternLM2ForRewardModel"] },
      'architectures: expected the causal language model of internlm2, found ["InternLM2ForRewardModel"]',
    ],
    [
      { ...LLAMA, architectures: "LlamaForCausalLM" },
      'architectures: expected the causal language model of llama, found "LlamaForCausalLM"',
    ],
    [
      { ...LLAMA, auto_map: { AutoModelForCausalLM: "modeling_deci.DeciLMForCausalLM" } },
      'auto_map: AutoModelForCausalLM: the model\'s own code, "modeling_deci.DeciLMForCausalLM", is not that of llama, ' +
        "and is never run",
    ],
    [
      { ...QWEN3, auto_map: { AutoModelForCausalLM: "modeling_qwen3_masked.Qwen3ForCausalLM" } },
      'auto_map: AutoModelForCausalLM: the model\'s own code, "modeling_qwen3_masked.Qwen3ForCausalLM", is not that of ' +
        "qwen3, and is never run",
    ],
    [{ ...LLAMA, auto_map: "modeling.py" }, 'auto_map: expected an object or null, found "modeling.py"'],
    [
      { ...LLAMA, quantization_config: { bits: 4 } },
      "quantization_config: quantised weights are not supported; use the unquantised checkpoint",
    ],
    [
      { ...LLAMA, compression_config: { format: "int" } },
      "compression_config: quantised weights are not supported; use the unquantised checkpoint",
    ],
  ])("%#", (config, message) => {
    expect(() => open(config)).toThrow(`models/x/config.json: ${message}`);
  });

  test("the published class passes, also where the repository carries a copy of its code", () => {
    const classes = { architectures: ["InternLM2ForCausalLM"] };
    const code = { auto_map: { AutoModelForCausalLM: "modeling_internlm2.InternLM2ForCausalLM" } };
    const elsewhere = { auto_map: { AutoModelForCausalLM: "x/y--modeling_internlm2.InternLM2ForCausalLM" } };
    for (const more of [classes, code, elsewhere]) expect(() => open({ ...INTERNLM2, ...more })).not.toThrow();
  });
});

describe("a config that cannot be right is refused by its field", () => {
  test.each([
    [[], "models/x/config.json: expected a JSON object, found []"],
    [{ ...LLAMA, vocab_size: undefined }, "vocab_size: expected a whole number of at least 1, found nothing"],
    [{ ...LLAMA, hidden_size: "16" }, 'hidden_size: expected a whole number of at least 1, found "16"'],
    [{ ...LLAMA, num_hidden_layers: 0 }, "num_hidden_layers: expected a whole number of at least 1, found 0"],
    [{ ...LLAMA, num_hidden_layers: 1e9 }, "num_hidden_layers: expected at most 1024, found 1000000000"],
    [{ ...LLAMA, head_dim: 1e9 }, "head_dim: expected at most 65536, found 1000000000"],
    [{ ...LLAMA, rms_norm_eps: -1 }, "rms_norm_eps: expected a number above 0, found -1"],
    [{ ...LLAMA, tie_word_embeddings: "no" }, 'tie_word_embeddings: expected true or false, found "no"'],
    [
      { ...LLAMA, num_key_value_heads: 3 },
      "num_key_value_heads: expected a divisor of num_attention_heads (4), found 3",
    ],
    [{ ...LLAMA, num_attention_heads: 3 }, "num_attention_heads: expected a divisor of hidden_size (16), found 3"],
    [{ ...LLAMA, head_dim: 5 }, "head_dim: rotary positions need an even head size, found 5"],
    [{ ...GEMMA2, query_pre_attn_scalar: 0 }, "query_pre_attn_scalar: expected a number above 0, found 0"],
    [{ ...GEMMA2, attn_logit_softcapping: -50 }, "attn_logit_softcapping: expected a number above 0, found -50"],
    [{ ...PHI3, sliding_window: 0 }, "sliding_window: expected a whole number of at least 1, found 0"],
    [
      { ...LLAMA, model_type: "lama" },
      `model_type: unknown architecture "lama"; known are ${NAMES} (engine: torch runs others; one more here is a file in ` +
        'src/models and a line in its index, as docs/adding.md says); did you mean "llama"?',
    ],
    [{}, `model_type: is missing; known are ${NAMES}`],
  ])("%#", (config, message) => {
    expect(() => open(config)).toThrow(message);
  });
});

test("a missing config names its file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-models-"));
  await expect(openModel(folder)).rejects.toThrow(`${join(folder, "config.json")}: no such file or folder`);
  await writeFile(join(folder, "config.json"), "{");
  await expect(openModel(folder)).rejects.toThrow(`${join(folder, "config.json")}:1:2: expected JSON`);
});

test("sizes, ties and rotary bases are read, and absent fields mean what each architecture takes them to mean", () => {
  expect(open(LLAMA).config).toEqual({
    vocabularySize: 30,
    hiddenSize: 16,
    layers: 2,
    heads: 4,
    keyValueHeads: 4,
    headSize: 4,
    intermediateSize: 24,
    tied: false,
    maxPositions: null,
    normEpsilon: 1e-6,
    rotary: {
      frequencies: Float32Array.of(1, 0.01),
      key: "10000/4",
      isInterleaved: false,
      factor: 1,
      long: null,
    },
    logitCap: null,
  });
  const other = open({
    ...QWEN2,
    head_dim: 8,
    tie_word_embeddings: true,
    rope_parameters: { rope_theta: 1e6, rope_type: "default" },
    max_position_embeddings: 128,
  });
  expect(other.config).toMatchObject({ headSize: 8, tied: true, maxPositions: 128, keyValueHeads: 2 });
  expect(other.config.rotary.key).toBe("1000000/8");
  expect(other.head).toBe("model.embed_tokens.weight");
  expect(open({ ...MISTRAL, num_key_value_heads: null }).config.keyValueHeads).toBe(4);
  expect(() => open({ ...LLAMA, model_type: "mistral" })).toThrow(
    "num_key_value_heads: expected a divisor of num_attention_heads (4), found 8",
  );
  expect(open(QWEN3).config).toMatchObject({ headSize: 128, tied: false });
  expect(open(GEMMA2).config).toMatchObject({ headSize: 256, tied: true, logitCap: 30 });
  expect(open({ ...GEMMA2, final_logit_softcapping: null }).config.logitCap).toBe(null);
  const { num_attention_heads: _, num_key_value_heads: __, vocab_size: ___, ...sparse } = GEMMA3;
  expect(open(sparse).config).toMatchObject({
    heads: 8,
    keyValueHeads: 4,
    headSize: 256,
    vocabularySize: 262_208,
    maxPositions: 131_072,
    tied: true,
    logitCap: null,
    rotary: { key: "1000000/256" },
  });
});

test("weights are listed in the order of use, under their checkpoint names", () => {
  const layer = (n: number): [string, number[]][] => {
    const name = `model.layers.${n}`;
    return [
      [`${name}.input_layernorm.weight`, [16]],
      [`${name}.self_attn.q_proj.weight`, [16, 16]],
      [`${name}.self_attn.q_proj.bias`, [16]],
      [`${name}.self_attn.k_proj.weight`, [8, 16]],
      [`${name}.self_attn.k_proj.bias`, [8]],
      [`${name}.self_attn.v_proj.weight`, [8, 16]],
      [`${name}.self_attn.v_proj.bias`, [8]],
      [`${name}.self_attn.o_proj.weight`, [16, 16]],
      [`${name}.post_attention_layernorm.weight`, [16]],
      [`${name}.mlp.gate_proj.weight`, [24, 16]],
      [`${name}.mlp.up_proj.weight`, [24, 16]],
      [`${name}.mlp.down_proj.weight`, [16, 24]],
    ];
  };
  const model = open(QWEN2);
  expect(model.shapes.map(({ name, shape }) => [name, shape])).toEqual([
    ["model.embed_tokens.weight", [30, 16]],
    ...layer(0),
    ...layer(1),
    ["model.norm.weight", [16]],
    ["lm_head.weight", [30, 16]],
  ]);
  expect(model.parameters).toBe(30 * 16 * 2 + 16 + 2 * (16 * 2 + 16 * 16 * 2 + 8 * 16 * 2 + 32 + 3 * 16 * 24));
  expect(open({ ...QWEN2, tie_word_embeddings: true }).shapes.map(({ name }) => name)).not.toContain("lm_head.weight");
});

test("fused projections and names of their own are listed as the checkpoints have them", () => {
  const first = (config: unknown) =>
    open(config)
      .shapes.filter(({ name }) => name.includes(".0."))
      .map(({ name, shape }) => `${name.replace(/^.*\.0\./, "")} ${shape}`);
  expect(first({ ...INTERNLM2, num_key_value_heads: 2 })).toEqual([
    "attention_norm.weight 16",
    "attention.wqkv.weight 32,16",
    "attention.wqkv.bias 32",
    "attention.wo.weight 16,16",
    "attention.wo.bias 16",
    "ffn_norm.weight 16",
    "feed_forward.w1.weight 24,16",
    "feed_forward.w3.weight 24,16",
    "feed_forward.w2.weight 16,24",
  ]);
  expect(first({ ...PHI3, num_key_value_heads: 2 })).toEqual([
    "input_layernorm.weight 16",
    "self_attn.qkv_proj.weight 32,16",
    "self_attn.o_proj.weight 16,16",
    "post_attention_layernorm.weight 16",
    "mlp.gate_up_proj.weight 48,16",
    "mlp.down_proj.weight 16,24",
  ]);
  expect(first({ ...QWEN3, head_dim: 6, attention_bias: true }).filter((name) => name.startsWith("self_attn"))).toEqual(
    [
      "self_attn.q_proj.weight 24,16",
      "self_attn.q_proj.bias 24",
      "self_attn.k_proj.weight 12,16",
      "self_attn.k_proj.bias 12",
      "self_attn.v_proj.weight 12,16",
      "self_attn.v_proj.bias 12",
      "self_attn.q_norm.weight 6",
      "self_attn.k_norm.weight 6",
      "self_attn.o_proj.weight 16,24",
      "self_attn.o_proj.bias 16",
    ],
  );
  expect(first(GEMMA2).filter((name) => name.includes("norm"))).toEqual([
    "input_layernorm.weight 16",
    "post_attention_layernorm.weight 16",
    "pre_feedforward_layernorm.weight 16",
    "post_feedforward_layernorm.weight 16",
  ]);
});

describe("weights of a checkpoint are checked against the config", () => {
  const stored = (config: unknown) =>
    new Map(open(config).shapes.map(({ name, shape }) => [name, { shape, dtype: "BF16" }]));

  test("a matching checkpoint passes, computed buffers and a stored copy of a tied head included", () => {
    const tensors = stored({ ...LLAMA, tie_word_embeddings: true });
    tensors.set("lm_head.weight", { shape: [30, 16], dtype: "BF16" });
    tensors.set("model.layers.0.self_attn.rotary_emb.inv_freq", { shape: [2], dtype: "F32" });
    expect(() => checkWeights(open({ ...LLAMA, tie_word_embeddings: true }), tensors)).not.toThrow();
  });

  test("missing, misshapen, quantised and unknown tensors are all told at once", () => {
    const tensors = stored(LLAMA);
    tensors.delete("model.norm.weight");
    tensors.set("lm_head.weight", { shape: [31, 16], dtype: "BF16" });
    tensors.set("model.layers.1.mlp.up_proj.weight", { shape: [24, 16], dtype: "I8" });
    tensors.set("model.layers.0.self_attn.q_proj.bias", { shape: [16], dtype: "F32" });
    expect(() => checkWeights(open(LLAMA), tensors)).toThrow(
      [
        'models/x: "model.layers.1.mlp.up_proj.weight": expected one of F32, F16, BF16, F64, found I8',
        'models/x: "model.norm.weight": the config asks for this tensor [16], and it is missing',
        'models/x: "lm_head.weight": the config asks for [30, 16], found [31, 16]',
        'models/x: "model.layers.0.self_attn.q_proj.bias": llama models with this config have no such tensor',
      ].join("\n"),
    );
  });
});
