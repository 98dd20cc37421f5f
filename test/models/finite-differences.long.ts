/**
 * The training program of every architecture with everything at once (tied head, grouped heads, biases, caps, a window
 * shorter than the sequence, a tail bucket, padding) in double precision, against finite differences of its own loss. At
 * length, because `golden.test.ts` holds every gradient of every golden model to the reference's already.
 */

import { expect, test } from "vitest";
import { trainingProgram } from "#src/engine/onnx/programs/training.js";
import { elements } from "#src/graph/graph.js";
import { modelFromConfig } from "#src/models/index.js";
import { createRandom } from "#src/random.js";
import { normal } from "../graph/finite-differences.ts";
import { type Feed, openGraph, type Results } from "../graph/run-graph.ts";

const STEP = 1e-5;
/** Of each tensor: the largest difference over its largest entry. Central differences reach about 1e-9 here. */
const TOLERANCE = 1e-6;
const ENTRIES_PER_TENSOR = 12;

const sizes = {
  hidden_size: 16,
  num_attention_heads: 4,
  num_hidden_layers: 2,
  intermediate_size: 20,
  vocab_size: 23,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-6,
};

const CONFIGS = {
  "a tied, grouped qwen2 with biases": {
    model_type: "qwen2",
    ...sizes,
    num_key_value_heads: 2,
    tie_word_embeddings: true,
  },
  "a qwen2 whose upper layer has a window": {
    model_type: "qwen2",
    ...sizes,
    num_key_value_heads: 4,
    use_sliding_window: true,
    sliding_window: 3,
    max_window_layers: 1,
  },
  "a llama with all biases and its own head size": {
    model_type: "llama",
    ...sizes,
    head_dim: 6,
    attention_bias: true,
    mlp_bias: true,
  },
  "a mistral with one key head and a window": {
    model_type: "mistral",
    ...sizes,
    num_key_value_heads: 1,
    sliding_window: 4,
  },
  "a llama with stretched positions": {
    model_type: "llama",
    ...sizes,
    head_dim: 8,
    rope_theta: 100,
    rope_scaling: {
      rope_type: "llama3",
      factor: 4,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 32,
    },
  },
  "an internlm2 with biases": {
    model_type: "internlm2",
    ...sizes,
    num_key_value_heads: 2,
    bias: true,
    rope_scaling: { type: "linear", factor: 2 },
  },
  "a tied qwen3 with biases, whose upper layer has a window": {
    model_type: "qwen3",
    ...sizes,
    head_dim: 6,
    num_key_value_heads: 2,
    attention_bias: true,
    tie_word_embeddings: true,
    use_sliding_window: true,
    sliding_window: 3,
    max_window_layers: 1,
  },
  "an untied qwen3": { model_type: "qwen3", ...sizes, head_dim: 4, num_key_value_heads: 4 },
  "a tied gemma2 with tight caps and biases, whose lower layer has a window": {
    model_type: "gemma2",
    ...sizes,
    head_dim: 6,
    num_key_value_heads: 2,
    attention_bias: true,
    sliding_window: 3,
    query_pre_attn_scalar: 5,
    attn_logit_softcapping: 1.5,
    final_logit_softcapping: 2,
  },
  "an untied gemma2 without caps": {
    model_type: "gemma2",
    ...sizes,
    head_dim: 4,
    num_key_value_heads: 4,
    tie_word_embeddings: false,
    sliding_window: 3,
    layer_types: ["full_attention", "sliding_attention"],
    attn_logit_softcapping: null,
    final_logit_softcapping: null,
  },
  "a tied gemma3_text with a tight cap and biases, whose lower layer has a window": {
    model_type: "gemma3_text",
    ...sizes,
    head_dim: 6,
    num_key_value_heads: 2,
    attention_bias: true,
    sliding_window: 3,
    sliding_window_pattern: 2,
    query_pre_attn_scalar: 5,
    final_logit_softcapping: 2,
    rope_local_base_freq: 10,
    rope_scaling: { rope_type: "linear", factor: 2 },
  },
  "a grouped phi3 with a window": { model_type: "phi3", ...sizes, num_key_value_heads: 2, sliding_window: 3 },
  "a tied phi3": { model_type: "phi3", ...sizes, tie_word_embeddings: true },
  "a phi3 that turns half of every head by LongRoPE": {
    model_type: "phi3",
    ...sizes,
    head_dim: 8,
    partial_rotary_factor: 0.5,
    original_max_position_embeddings: 32,
    rope_scaling: { type: "longrope", short_factor: [1, 2], long_factor: [2, 4] },
  },
  "an olmo2 with grouped heads and biases": {
    model_type: "olmo2",
    ...sizes,
    num_key_value_heads: 2,
    attention_bias: true,
  },
  "a granite with all multipliers and biases": {
    model_type: "granite",
    ...sizes,
    num_key_value_heads: 2,
    attention_bias: true,
    mlp_bias: true,
    attention_multiplier: 0.3,
    embedding_multiplier: 3,
    residual_multiplier: 0.6,
    logits_scaling: 1.5,
  },
  "a smollm3 whose upper layer turns nothing and has a window": {
    model_type: "smollm3",
    ...sizes,
    num_key_value_heads: 2,
    no_rope_layer_interval: 2,
    use_sliding_window: true,
    sliding_window: 3,
  },
  "a glm4 with biases": { model_type: "glm4", ...sizes, head_dim: 8, num_key_value_heads: 2 },
  // Without biases: that of unturned keys moves all products of a query alike, and has no gradient.
  "a cohere2 whose upper layer turns nothing and has no window": {
    model_type: "cohere2",
    ...sizes,
    num_key_value_heads: 2,
    sliding_window: 3,
    sliding_window_pattern: 2,
    logit_scale: 0.4,
  },
  "a qwen3_moe whose lower layer is dense, without the division by the sum": {
    model_type: "qwen3_moe",
    ...sizes,
    head_dim: 4,
    num_key_value_heads: 2,
    num_experts: 3,
    num_experts_per_tok: 2,
    moe_intermediate_size: 6,
    mlp_only_layers: [0],
    norm_topk_prob: false,
  },
  "a mixtral with two of three experts and a window": {
    model_type: "mixtral",
    ...sizes,
    num_key_value_heads: 2,
    num_local_experts: 3,
    num_experts_per_tok: 2,
    sliding_window: 4,
  },
};

const BATCH = 2;
const LENGTH = 7;
const ROWS = 9;
const WIDTH = 3;

/** The loss with a tail has all terms of the one without; its absence is the same for every architecture. */
const CASES = Object.entries(CONFIGS).flatMap(([name, config], index) =>
  (index === 0 ? [false, true] : [true]).map((tail) => ({ name, config, tail })),
);

for (const { name, config, tail } of CASES) {
  test(`gradients of ${name}, ${tail ? "with" : "without"} a tail, equal finite differences`, async () => {
    const model = modelFromConfig("folder", "config.json", config);
    const program = trainingProgram(model, {
      batch: BATCH,
      length: LENGTH,
      rows: ROWS,
      width: WIDTH,
      tail,
      float: "float64",
    });
    const run = await openGraph(program);
    const feeds = draw(model.shapes, model.config.vocabularySize);
    const results = await run(feeds);
    const gradient = (weight: string): Float64Array =>
      weight === model.embedding
        ? scatterEmbedding(results, model, feeds.ids![0] as Int32Array)
        : (results[`grad.${weight}`] as Float64Array);
    const random = createRandom(`entries/${name}`);
    for (const { name: weight, shape } of model.shapes) {
      const exact = gradient(weight);
      let difference = 0;
      let largest = 0;
      for (let n = 0; n < ENTRIES_PER_TENSOR; n++) {
        const place = random.integer(elements(shape));
        const at = async (step: number): Promise<number> => {
          const moved = feeds[weight]![0].slice();
          moved[place]! += step;
          return lossOf(await run({ ...feeds, [weight]: [moved, shape] }), feeds, tail);
        };
        const expected = ((await at(STEP)) - (await at(-STEP))) / (2 * STEP);
        difference = Math.max(difference, Math.abs(expected - exact[place]!));
        largest = Math.max(largest, ...exact.map(Math.abs));
      }
      expect(difference / largest, weight).toBeLessThan(TOLERANCE);
    }
  });
}

/** Random weights and rows: duplicated ids, unused places, and two rows of padding at the end. */
function draw(shapes: readonly { name: string; shape: readonly number[] }[], vocabulary: number): Record<string, Feed> {
  const random = createRandom("rows");
  const feeds: Record<string, Feed> = {};
  for (const { name, shape } of shapes) {
    const spread = shape.length === 1 && name.includes("norm") ? 1 : 0;
    feeds[name] = [normal(name, elements(shape)).map((value) => 0.3 * value + spread), shape];
  }
  const ids = (count: number): Int32Array => Int32Array.from({ length: count }, () => random.integer(vocabulary));
  const weights = (count: number): Float64Array => Float64Array.from({ length: count }, () => random.next() / ROWS);
  const places = random.shuffle(Array.from({ length: BATCH * LENGTH }, (_, place) => place)).slice(0, ROWS);
  const targetId = ids(ROWS * WIDTH);
  targetId.copyWithin(1, 0, 1);
  const targetWeight = weights(ROWS * WIDTH);
  targetWeight[WIDTH] = 0;
  const labelWeight = weights(ROWS);
  const tailWeight = weights(ROWS);
  for (let row = ROWS - 2; row < ROWS; row++) {
    places[row] = 0;
    labelWeight[row] = 0;
    tailWeight[row] = 0;
    targetWeight.fill(0, row * WIDTH);
  }
  return {
    ...feeds,
    ids: [ids(BATCH * LENGTH), [BATCH, LENGTH]],
    row_index: [Int32Array.from(places), [ROWS]],
    label: [ids(ROWS), [ROWS]],
    label_weight: [labelWeight, [ROWS]],
    target_id: [targetId, [ROWS, WIDTH]],
    target_weight: [targetWeight, [ROWS, WIDTH]],
    tail_weight: [tailWeight, [ROWS]],
  };
}

function lossOf(results: Results, feeds: Readonly<Record<string, Feed>>, tail: boolean): number {
  const dot = (weights: string, logp: string): number =>
    Array.from(feeds[weights]![0]).reduce((sum, weight, place) => sum - weight * results[logp]![place]!, 0);
  const label = dot("label_weight", "label_logp");
  return label + dot("target_weight", "target_logp") + (tail ? dot("tail_weight", "complement_log") : 0);
}

function scatterEmbedding(
  results: Results,
  model: { embedding: string; config: { vocabularySize: number; hiddenSize: number } },
  ids: Int32Array,
): Float64Array {
  const { vocabularySize, hiddenSize } = model.config;
  const head = results[`grad.${model.embedding}`];
  const sum = head === undefined ? new Float64Array(vocabularySize * hiddenSize) : Float64Array.from(head);
  ids.forEach((id, position) => {
    for (let j = 0; j < hiddenSize; j++) {
      sum[id * hiddenSize + j]! += results.grad_embedded![position * hiddenSize + j]!;
    }
  });
  return sum;
}
