import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkWeights, modelFromConfig, openModel } from "#src/models/index.js";

const LLAMA = {
  model_type: "llama",
  hidden_size: 16,
  num_attention_heads: 4,
  num_hidden_layers: 2,
  intermediate_size: 24,
  vocab_size: 30,
};
const QWEN2 = { ...LLAMA, model_type: "qwen2", num_key_value_heads: 2 };
const MISTRAL = { ...LLAMA, model_type: "mistral", num_key_value_heads: 2 };

const open = (config: unknown) => modelFromConfig("models/x", "models/x/config.json", config);

describe("what would change the numbers and is not supported is refused by name", () => {
  test.each([
    [{ ...LLAMA, hidden_act: "gelu" }, 'hidden_act: "gelu" is not supported (only "silu")'],
    [
      { ...LLAMA, rope_scaling: { rope_type: "llama3", factor: 8 } },
      'rope_scaling: the type "llama3" is not supported (only "default")',
    ],
    [
      { ...LLAMA, rope_scaling: { type: "dynamic", factor: 2 } },
      'rope_scaling: the type "dynamic" is not supported (only "default")',
    ],
    [
      { ...LLAMA, rope_parameters: { rope_type: "yarn", rope_theta: 1e4 } },
      'rope_parameters: the type "yarn" is not supported (only "default")',
    ],
    [{ ...LLAMA, partial_rotary_factor: 0.5 }, "partial_rotary_factor: 0.5 is not supported (only 1)"],
    [{ ...LLAMA, pretraining_tp: 2 }, "pretraining_tp: 2 is not supported (only 1)"],
    [{ ...LLAMA, attention_dropout: 0.1 }, "attention_dropout: 0.1 is not supported (only 0)"],
    [
      { ...LLAMA, quantization_config: { bits: 4 } },
      "quantization_config: quantised weights are not supported; use the unquantised checkpoint",
    ],
    [{ ...MISTRAL, attention_bias: true }, "attention_bias: true is not supported (only false)"],
    [{ ...QWEN2, mlp_bias: true }, "mlp_bias: true is not supported (only false)"],
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

describe("a config that cannot be right is refused by its field", () => {
  test.each([
    [[], "models/x/config.json: expected a JSON object, found []"],
    [{ ...LLAMA, vocab_size: undefined }, "vocab_size: expected a whole number of at least 1, found nothing"],
    [{ ...LLAMA, hidden_size: "16" }, 'hidden_size: expected a whole number of at least 1, found "16"'],
    [{ ...LLAMA, num_hidden_layers: 0 }, "num_hidden_layers: expected a whole number of at least 1, found 0"],
    [{ ...LLAMA, rms_norm_eps: -1 }, "rms_norm_eps: expected a number above 0, found -1"],
    [{ ...LLAMA, tie_word_embeddings: "no" }, 'tie_word_embeddings: expected true or false, found "no"'],
    [
      { ...LLAMA, num_key_value_heads: 3 },
      "num_key_value_heads: expected a divisor of num_attention_heads (4), found 3",
    ],
    [{ ...LLAMA, num_attention_heads: 3 }, "num_attention_heads: expected a divisor of hidden_size (16), found 3"],
    [{ ...LLAMA, head_dim: 5 }, "head_dim: rotary positions need an even head size, found 5"],
    [{ ...LLAMA, rope_scaling: "linear" }, 'rope_scaling: expected an object or null, found "linear"'],
    [
      { ...LLAMA, model_type: "lama" },
      'model_type: unknown architecture "lama"; known are llama, mistral, mixtral, qwen2 ' +
        "(another one is a file in src/models and a line in its index)",
    ],
    [{}, "model_type: is missing; known are llama, mistral, mixtral, qwen2"],
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
    rotary: { frequencies: Float32Array.of(1, 0.01), key: "10000/4" },
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
  expect(() => open({ ...MISTRAL, num_key_value_heads: null })).toThrow(
    "num_key_value_heads: expected a divisor of num_attention_heads (4), found 8",
  );
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
