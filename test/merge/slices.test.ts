/** Slices of several models: what fits on one another, what the config says of it, and whose head the result has. */
import { readdir } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configOf, decoder, type SmallModels, smallModels, stack } from "./small-models.ts";

let models: SmallModels;

beforeAll(async () => {
  models = await smallModels();
  await models.model("a", 1, decoder(2), configOf({ num_hidden_layers: 2, tie_word_embeddings: false }));
  await models.model("b", 3, decoder(2), configOf({ num_hidden_layers: 2, tie_word_embeddings: false }));
});

afterAll(() => models.remove());

describe("models that do not fit on one another are refused", () => {
  const refusal = (other: string): Promise<string> => models.refusal(stack(["a", [0, 2]], [other, [0, 2]]));

  test("of another width", async () => {
    await models.model("wide", 1, decoder(2, { width: 16 }), configOf({}));
    expect(await refusal("wide")).toBe(
      '"model.layers.2.mlp.up_proj.weight": expected [16, 8], as a has it, whose config the result takes; found [32, 16] in wide',
    );
  });

  test("with other rows in head than in embedding", async () => {
    await models.model("rows", 1, decoder(2, { rows: 22 }), configOf({ vocab_size: 22 }));
    expect(await refusal("rows")).toBe(
      '"lm_head.weight": expected as many rows as "model.embed_tokens.weight", [20, 8] of a, found [22, 8] of rows; say with tokenizer which vocabulary the result has',
    );
  });

  test("with a tensor that the config's class does not know, or without one that it needs", async () => {
    const norm = { "model.layers.0.k_norm.weight": [4], "model.layers.1.k_norm.weight": [4] };
    await models.model("norms", 1, { ...decoder(2), ...norm }, configOf({}));
    expect(await refusal("norms")).toBe(
      '"model.layers.2.k_norm.weight": expected no such tensor, as a has it, whose config the result takes; found [4] in norms',
    );
    expect(await models.refusal(stack(["norms", [0, 2]], ["a", [0, 2]]))).toBe(
      'layer 2 of the output: expected the tensor "k_norm.weight", which all layers of norms have, whose config the result takes; found none',
    );
  });

  test("but layers may differ as those of one model do", async () => {
    const hybrid = { "m.layers.0.mixer.w": [4, 4], "m.layers.1.attn.w": [2, 4], "m.layers.2.mixer.w": [4, 4] };
    await models.model("hybrid", 1, hybrid);
    const { tensors } = await models.merge(stack(["hybrid", [0, 2]], ["hybrid", [1, 3]]));
    expect([...tensors.keys()].sort()).toEqual([
      "m.layers.0.mixer.w",
      "m.layers.1.attn.w",
      "m.layers.2.attn.w",
      "m.layers.3.mixer.w",
    ]);
  });
});

describe("the config of stacked layers", () => {
  const layered = (prefix: string, value: number, config: object, name: string): Promise<void> =>
    models.model(name, value, Object.fromEntries([0, 1, 2, 3].map((layer) => [`${prefix}.${layer}.w`, [2, 2]])), {
      "config.json": config,
    });
  const stacked = async (config: object, prefix = "h", other: object = config) => {
    const { length } = await readdir(models.folder);
    await layered(prefix, 1, config, `first-${length}`);
    await layered(prefix, 2, other, `second-${length}`);
    return models.merge(stack([`first-${length}`, [0, 3]], [`second-${length}`, [1, 4]]));
  };

  test.each(["num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_transformer_layers", "n_blocks"])(
    "counts them in %s",
    async (key) => {
      const { json } = await stacked({ [key]: 4, other: 4 });
      expect(await json("config.json")).toEqual({ [key]: 6, other: 4, torch_dtype: "float32" });
    },
  );

  test("counts them where nothing did, in the language model's section", async () => {
    const { json } = await stacked({ text_config: { model_type: "llama" }, vision_config: { num_hidden_layers: 4 } });
    expect(await json("config.json")).toMatchObject({
      text_config: { model_type: "llama", num_hidden_layers: 6 },
      vision_config: { num_hidden_layers: 4 },
    });
  });

  test("has an entry a layer in every list that had, each from its own model", async () => {
    const first = {
      num_layers: 4,
      attention_layers: ["g", "l", "g", "l"],
      ffn: [0.5, 1.5, 2.5, 3.5],
      eos_token_id: [1, 2, 3, 4],
    };
    const second = { ...first, ffn: [10.0, 11.0, 12.0, 13.0] };
    const { json } = await stacked(first, "h", second);
    expect(await json("config.json")).toMatchObject({
      attention_layers: ["g", "l", "g", "l", "g", "l"],
      ffn: [0.5, 1.5, 2.5, 11, 12, 13],
      eos_token_id: [1, 2, 3, 4],
    });
  });

  test("numbers anew the layers that a list names", async () => {
    const { json } = await stacked({ num_hidden_layers: 4, mlp_only_layers: [0, 3], cross_attention_layers: [1] });
    expect(await json("config.json")).toMatchObject({ mlp_only_layers: [0, 5], cross_attention_layers: [1, 3] });
  });

  test("of an encoder with a decoder counts the side that was cut", async () => {
    const both = (value: number, name: string): Promise<void> =>
      models.model(
        name,
        value,
        {
          "encoder.block.0.w": [2],
          ...Object.fromEntries([0, 1, 2].map((layer) => [`decoder.block.${layer}.w`, [2, 2]])),
        },
        { "config.json": { num_layers: 3 } },
      );
    await both(1, "t5-a");
    await both(2, "t5-b");
    const { json } = await models.merge(stack(["t5-a", [0, 1]], ["t5-b", [2, 3]]));
    expect(await json("config.json")).toMatchObject({ num_layers: 3, num_decoder_layers: 2 });
  });

  test("that tells kinds of layers by arithmetic is warned of where they move, and only there", async () => {
    const { warnings } = await stacked({ num_hidden_layers: 4, sliding_window_pattern: 2, first_k_dense_replace: 1 });
    expect(warnings).toEqual([]);
    const moved = await stacked({ num_hidden_layers: 4, full_attention_interval: 3 });
    expect(moved.warnings.map((text) => text.replace(/first-\d+/, "first"))).toEqual([
      "config.json of first: full_attention_interval (3) says by their numbers which layers are which, and layer 3 of the output was layer 1",
    ]);
    expect(
      (await stacked({ num_hidden_layers: 4, sliding_window_pattern: 3, layer_types: ["a", "b", "c", "d"] })).warnings,
    ).toEqual([]);
  });
});

describe("a slice without layers", () => {
  test("that comes last gives final norm and head", async () => {
    const { values, json } = await models.merge(stack(["a", [0, 2]], ["b", [2, 2]]));
    expect(values).toMatchObject({ "model.embed_tokens.weight": 1, "model.norm.weight": 3, "lm_head.weight": 3 });
    expect(await json("config.json")).toMatchObject({ num_hidden_layers: 2 });
  });

  test("that comes first, from the beginning, gives the embeddings", async () => {
    const { values } = await models.merge(stack(["b", [0, 0]], ["a", [0, 2]]));
    expect(values).toMatchObject({ "model.embed_tokens.weight": 3, "model.norm.weight": 1, "lm_head.weight": 1 });
  });

  test("is refused elsewhere, where it would mean nothing", async () => {
    const problem =
      "expected a range of at least one layer, found [1, 1]; an empty one is the last slice, for final norm and head, or [0, 0] as the first, for the embeddings";
    expect(await models.refusal(stack(["a", [0, 1]], ["b", [1, 1]], ["a", [1, 2]]))).toBe(
      `test: slices[1].sources[0].layer_range: ${problem}`,
    );
    expect(await models.refusal(stack(["a", [1, 1]]))).toContain(`slices[0].sources[0].layer_range: ${problem}`);
  });
});

describe("the head of a stack", () => {
  const tied = configOf({ num_hidden_layers: 2, tie_word_embeddings: true });
  beforeAll(async () => {
    await models.model("tied-1", 5, decoder(2, { head: false }), tied);
    await models.model("tied-2", 7, decoder(2, { head: false }), tied);
  });

  const headOf = async (first: string, last: string) => {
    const { values, json } = await models.merge(stack([first, [0, 2]], [last, [0, 2]]));
    return [
      values["model.embed_tokens.weight"],
      values["lm_head.weight"],
      (await json("config.json")).tie_word_embeddings,
    ];
  };

  test("is the last model's, written where it is another embedding than the first's", async () => {
    expect(await headOf("a", "tied-1")).toEqual([1, 5, false]);
    expect(await headOf("tied-1", "a")).toEqual([5, 1, false]);
    expect(await headOf("tied-1", "tied-2")).toEqual([5, 7, false]);
  });

  test("stays tied where it is the first's embedding", async () => {
    expect(await headOf("tied-1", "tied-1")).toEqual([5, undefined, true]);
  });
});

test("final norms that nobody listed are the last slice's", async () => {
  const rwkv = {
    "rwkv.embeddings.weight": [20, 8],
    "rwkv.blocks.0.w": [2, 2],
    "rwkv.ln_out.weight": [8],
    "head.weight": [20, 8],
  };
  await models.model("rwkv-1", 1, rwkv);
  await models.model("rwkv-2", 2, rwkv);
  const { values } = await models.merge(stack(["rwkv-1", [0, 1]], ["rwkv-2", [0, 1]]));
  expect(values).toEqual({
    "rwkv.embeddings.weight": 1,
    "rwkv.blocks.0.w": 1,
    "rwkv.blocks.1.w": 2,
    "rwkv.ln_out.weight": 2,
    "head.weight": 2,
  });
});
