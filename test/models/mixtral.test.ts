/** What of Mixtral the golden numbers do not show: its config, its size, and experts that nobody chooses. */

import { describe, expect, test } from "vitest";
import { trainingProgram } from "#src/engine/onnx/programs/training.js";
import { elements, type FloatType } from "#src/graph/graph.js";
import { type Model, modelFromConfig } from "#src/models/index.js";
import { normal } from "../graph/finite-differences.ts";
import { type Feed, type Results, runGraph } from "../graph/run-graph.ts";

const SMALL = {
  model_type: "mixtral",
  hidden_size: 16,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_hidden_layers: 2,
  intermediate_size: 20,
  vocab_size: 23,
  num_local_experts: 4,
  num_experts_per_tok: 2,
};

/** The fields of the published config that size the model or name something peculiar to it. */
const MIXTRAL_8X7B = {
  architectures: ["MixtralForCausalLM"],
  attention_dropout: 0.0,
  hidden_act: "silu",
  hidden_size: 4096,
  intermediate_size: 14336,
  max_position_embeddings: 32768,
  model_type: "mixtral",
  num_attention_heads: 32,
  num_experts_per_tok: 2,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  num_local_experts: 8,
  output_router_logits: false,
  rms_norm_eps: 1e-5,
  rope_theta: 1_000_000.0,
  router_aux_loss_coef: 0.02,
  sliding_window: null,
  tie_word_embeddings: false,
  vocab_size: 32000,
};

const open = (config: unknown): Model => modelFromConfig("models/x", "models/x/config.json", config);

test("Mixtral 8x7B has 46,702,792,704 parameters, with what its config says or leaves out", () => {
  expect(open(MIXTRAL_8X7B).parameters).toBe(46_702_792_704);
  const { num_local_experts, num_experts_per_tok, num_key_value_heads, rms_norm_eps, rope_theta, ...silent } =
    MIXTRAL_8X7B;
  const model = open(silent);
  expect(model.parameters).toBe(46_702_792_704);
  expect(model.config).toEqual(open(MIXTRAL_8X7B).config);
});

test("a layer's weights are listed router first, then expert by expert, under its prefix", () => {
  const model = open(SMALL);
  const layer = (index: number): string[] =>
    model.shapes.map(({ name }) => name).filter((name) => name.startsWith(model.layerPrefix(index)));
  const experts = [0, 1, 2, 3].flatMap((expert) =>
    ["w1", "w3", "w2"].map((part) => `block_sparse_moe.experts.${expert}.${part}.weight`),
  );
  expect(layer(1).slice(-13)).toEqual(
    ["block_sparse_moe.gate.weight", ...experts].map((name) => `model.layers.1.${name}`),
  );
  expect(layer(0).map((name) => name.slice(model.layerPrefix(0).length))).toEqual(
    layer(1).map((name) => name.slice(model.layerPrefix(1).length)),
  );
  const shapes = new Map(model.shapes.map(({ name, shape }) => [name, shape]));
  expect(shapes.get("model.layers.1.block_sparse_moe.gate.weight")).toEqual([4, 16]);
  expect(shapes.get("model.layers.1.block_sparse_moe.experts.3.w1.weight")).toEqual([20, 16]);
  expect(shapes.get("model.layers.1.block_sparse_moe.experts.3.w2.weight")).toEqual([16, 20]);
});

describe("what cannot be right or is not supported is refused by name", () => {
  test.each([
    [{ num_experts_per_tok: 5 }, "num_experts_per_tok: expected at most num_local_experts (4), found 5"],
    [{ num_experts_per_tok: 0 }, "num_experts_per_tok: expected a whole number of at least 1, found 0"],
    [{ num_local_experts: "8" }, 'num_local_experts: expected a whole number of at least 1, found "8"'],
    [{ router_jitter_noise: 0.1 }, "router_jitter_noise: 0.1 is not supported (only 0)"],
    [{ output_router_logits: 1 }, "output_router_logits: expected true or false, found 1"],
    [{ sliding_window: "full" }, 'sliding_window: expected a whole number of at least 1, found "full"'],
    [{ attention_bias: true }, "attention_bias: true is not supported (only false)"],
    [{ hidden_act: "gelu" }, 'hidden_act: "gelu" is not supported (only "silu")'],
  ])("%j", (fields, message) => {
    expect(() => open({ ...SMALL, ...fields })).toThrow(`models/x/config.json: ${message}`);
  });

  test("but not fields of its authors' training, nor a window, whether null or a number", () => {
    const training = { output_router_logits: true, router_aux_loss_coef: 0.001, router_jitter_noise: 0 };
    for (const window of [null, 4096])
      expect(() => open({ ...SMALL, ...training, sliding_window: window })).not.toThrow();
  });
});

describe.each(["float32", "float64"] as const)("in %s", (float) => {
  test("an expert that no position chooses changes nothing and has no gradient", async () => {
    // Experts 1, 2 and 3 are equally probable everywhere, so that 3 is never among the first two.
    const { weights, model } = draw(SMALL);
    for (const layer of [0, 1]) {
      const router = weights[`${model.layerPrefix(layer)}block_sparse_moe.gate.weight`]![0];
      router.copyWithin(2 * 16, 16, 2 * 16);
      router.copyWithin(3 * 16, 16, 2 * 16);
    }
    const found = await train(model, weights, float);
    const fewer = { ...SMALL, num_local_experts: 3 };
    const without = await train(open(fewer), withoutExpert3(weights), float);
    // Another sum in the softmax, and the same numbers but for rounding.
    const tolerance = float === "float32" ? 1e-5 : 1e-13;
    for (const [name, expected] of Object.entries(without)) {
      const values = found[name]!.slice(0, expected.length);
      const difference = values.map((value, place) => Math.abs(value - expected[place]!));
      expect(Math.max(...difference), name).toBeLessThan(tolerance);
    }
    for (const layer of [0, 1]) {
      const prefix = `grad.${model.layerPrefix(layer)}block_sparse_moe.`;
      for (const part of ["w1", "w2", "w3"]) {
        expect(found[`${prefix}experts.3.${part}.weight`]!.every((value) => value === 0)).toBe(true);
        expect(found[`${prefix}experts.1.${part}.weight`]!.every((value) => value === 0)).toBe(false);
      }
      expect(found[`${prefix}gate.weight`]!.slice(3 * 16).every((value) => value === 0)).toBe(true);
      expect(found[`${prefix}gate.weight`]!.slice(0, 16).every((value) => value === 0)).toBe(false);
    }
  });
});

type Weights = Record<string, readonly [Float64Array, readonly number[]]>;

function draw(config: unknown): { readonly model: Model; readonly weights: Weights } {
  const model = open(config);
  const weights: Weights = {};
  for (const { name, shape } of model.shapes) {
    const centre = name.includes("norm") ? 1 : 0;
    weights[name] = [normal(name, elements(shape)).map((value) => 0.3 * value + centre), shape];
  }
  return { model, weights };
}

/** The weights of a model of three experts. */
function withoutExpert3(weights: Weights): Weights {
  return Object.fromEntries(
    Object.entries(weights)
      .filter(([name]) => !name.includes(".experts.3."))
      .map(([name, [data, shape]]) =>
        name.endsWith("block_sparse_moe.gate.weight")
          ? [name, [data.slice(0, 3 * 16), [3, 16]]]
          : [name, [data, shape]],
      ),
  );
}

/** Loss and gradients of every position of two sequences, the second padded. */
async function train(model: Model, weights: Weights, float: FloatType): Promise<Results> {
  const [batch, length] = [2, 9];
  const rows = batch * length;
  const ids = Int32Array.from({ length: rows }, (_, place) => (place < 15 ? (7 * place + 3) % 23 : 0));
  const precise = ([data, shape]: readonly [Float64Array, readonly number[]]): Feed => [
    float === "float32" ? Float32Array.from(data) : data,
    shape,
  ];
  const labelWeight = new Float64Array(rows).fill(1 / 15).fill(0, 15);
  return runGraph(trainingProgram(model, { batch, length, rows, width: 1, tail: false, float }), {
    ...Object.fromEntries(Object.entries(weights).map(([name, weight]) => [name, precise(weight)])),
    ids: [ids, [batch, length]],
    row_index: [Int32Array.from(ids.keys()), [rows]],
    label: [ids.map((id) => (id + 1) % 23), [rows]],
    label_weight: precise([labelWeight, [rows]]),
    target_id: [new Int32Array(rows), [rows, 1]],
    target_weight: precise([new Float64Array(rows), [rows, 1]]),
  });
}
