/** What tensors are, by place and shape; architectures with names that nobody listed among them. */
import { expect, test } from "vitest";
import { anatomyOf } from "#src/merge/inputs/anatomy.js";

const anatomy = (tensors: Readonly<Record<string, readonly number[]>>, config: Readonly<Record<string, number>> = {}) =>
  anatomyOf(
    new Map(
      Object.entries(tensors).map(([name, shape]) => [
        name,
        { shape, byteLength: 4 * shape.reduce((product, extent) => product * extent, 1) },
      ]),
    ),
    new Map(Object.entries(config).map(([key, value]) => [key, { literal: String(value) }])),
  );

const after = (tensors: Readonly<Record<string, readonly number[]>>): string[] =>
  Object.keys(tensors).filter(anatomy(tensors).isAfterLayers);

test("final norms and heads are known by place and rows", () => {
  const mamba = { "backbone.embeddings.weight": [20, 8], "backbone.layers.0.w": [8, 8], "backbone.norm_f.weight": [8] };
  expect(after(mamba)).toEqual(["backbone.norm_f.weight"]);
  const rwkv = {
    "rwkv.embeddings.weight": [20, 8],
    "rwkv.blocks.0.w": [8, 8],
    "rwkv.ln_out.weight": [8],
    "head.weight": [20, 8],
  };
  expect(after(rwkv)).toEqual(["rwkv.ln_out.weight", "head.weight"]);
  const chatglm = {
    "transformer.embedding.word_embeddings.weight": [20, 8],
    "transformer.encoder.layers.0.w": [8, 8],
    "transformer.encoder.final_layernorm.weight": [8],
    "transformer.output_layer.weight": [20, 8],
  };
  expect(after(chatglm)).toEqual(["transformer.encoder.final_layernorm.weight", "transformer.output_layer.weight"]);
  expect(anatomy(chatglm)).toMatchObject({
    stack: "transformer.encoder.layers",
    layers: 1,
    embedding: "transformer.embedding.word_embeddings.weight",
    head: "transformer.output_layer.weight",
  });
});

test("embeddings, their norms, towers and projectors come before the layers", () => {
  const tensors = {
    "model.embed_tokens.weight": [20, 8],
    "model.embed_positions.weight": [32, 8],
    "model.embeddings.LayerNorm.weight": [8],
    "multi_modal_projector.linear.bias": [8],
    "vision_tower.post_layernorm.weight": [4],
    "model.layers.0.w": [8, 8],
    "model.norm.weight": [8],
    "score.weight": [3, 8],
  };
  expect(after(tensors)).toEqual(["model.norm.weight", "score.weight"]);
});

test("what has a row for every token is known by the config's number of them, biases included", () => {
  const tensors = {
    "bert.embeddings.word_embeddings.weight": [30, 8],
    "bert.embeddings.position_embeddings.weight": [30, 8],
    "cls.predictions.bias": [30],
    "cls.predictions.transform.dense.weight": [8, 8],
    "transformer.token_embeddings.weight": [30, 8],
    "other.weight": [12, 8],
  };
  expect([...anatomy(tensors, { vocab_size: 30 }).vocabulary]).toEqual([
    "bert.embeddings.word_embeddings.weight",
    "cls.predictions.bias",
    "transformer.token_embeddings.weight",
  ]);
});

test("without a number of tokens it is the rows of the largest table", () => {
  expect([...anatomy({ "a.b.weight": [50, 8], "a.head.weight": [50, 8], "a.c.weight": [3, 8] }).vocabulary]).toEqual([
    "a.b.weight",
    "a.head.weight",
  ]);
});

test("where a model is as wide as its vocabulary is large names decide", () => {
  const tensors = {
    "embed.weight": [8, 8],
    "mixing.weight": [8, 8],
    "lm_head.weight": [8, 8],
    "norm.weight": [8],
    "norm.bias": [8],
  };
  expect([...anatomy(tensors, { vocab_size: 8 }).vocabulary]).toEqual(["embed.weight", "lm_head.weight"]);
});
