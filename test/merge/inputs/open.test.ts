/** Checkpoints as they are found: with masks, copies, other prefixes, stale indexes, packed weights. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { bytes, configOf, decoder, filled, linear, type SmallModels, smallModels } from "../small-models.ts";

let models: SmallModels;

beforeAll(async () => {
  models = await smallModels();
});

afterAll(() => models.remove());

describe("tensors that are no weights", () => {
  test("masks and rotary tables are left out, whichever model has them", async () => {
    const weights = { "h.0.attn.c_attn.weight": [4, 4], "h.0.attn.c_attn.bias": [4] };
    await models.model("masks", 1, {
      ...weights,
      "h.0.attn.bias": [1, 1, 6, 6],
      "h.0.attn.masked_bias": filled(Number.NEGATIVE_INFINITY, []),
      "h.0.attention.bias": bytes("BOOL", [1, 1, 6, 6]),
      "h.0.attn.attention.bias": bytes("U8", [1, 1, 6, 6]),
      "h.0.attention.rotary_emb.inv_freq": [3],
    });
    await models.model("plain", 3, weights);
    const { values } = await models.merge(linear("masks", "plain"));
    expect(values).toEqual({ "h.0.attn.c_attn.weight": 2, "h.0.attn.c_attn.bias": 2 });
  });

  test("whole numbers are taken as they are from the model whose config is taken", async () => {
    const routing = (...numbers: number[]): Tensor => ({
      dtype: "I64",
      shape: [numbers.length],
      data: BigInt64Array.from(numbers.map(BigInt)),
    });
    await models.model("routed-1", 1, { w: [2], "gate.experts_of_token": routing(4, 5) });
    await models.model("routed-2", 3, { w: [2], "gate.experts_of_token": routing(6, 7) });
    const { tensors, values } = await models.merge(linear("routed-1", "routed-2"));
    expect(values.w).toBe(2);
    expect(tensors.get("gate.experts_of_token")).toMatchObject({ dtype: "I64", shape: [2] });
    expect([...tensors.get("gate.experts_of_token")!.data]).toEqual([4n, 5n]);
  });
});

describe("tensors stored twice", () => {
  const embedding = filled(5, [20, 4]);

  test("an embedding that only some checkpoints repeat is left out", async () => {
    const shared = { "shared.weight": embedding, "encoder.block.0.w": [2, 2] };
    await models.model("t5", 1, shared);
    const copies = { "encoder.embed_tokens.weight": embedding, "decoder.embed_tokens.weight": embedding };
    await models.model("t5-copies", 3, { ...shared, ...copies });
    const { tensors } = await models.merge(linear("t5", "t5-copies"));
    expect([...tensors.keys()]).toEqual(["shared.weight", "encoder.block.0.w"]);
  });

  test("a tied head that is saved all the same is left out; one that differs is a head of its own", async () => {
    const tied = configOf({ tie_word_embeddings: true });
    await models.model(
      "saved",
      1,
      { ...decoder(1, { width: 4 }), "model.embed_tokens.weight": embedding, "lm_head.weight": embedding },
      tied,
    );
    await models.model(
      "unsaved",
      1,
      { ...decoder(1, { width: 4, head: false }), "model.embed_tokens.weight": embedding },
      tied,
    );
    const { tensors, warnings, json } = await models.merge(linear("saved", "unsaved"));
    expect(tensors.has("lm_head.weight")).toBe(false);
    expect(warnings).toEqual([]);
    expect(await json("config.json")).toMatchObject({ tie_word_embeddings: true });

    await models.model("moved", 1, { ...decoder(1, { width: 4 }), "model.embed_tokens.weight": embedding }, tied);
    const own = await models.merge(linear("moved", "unsaved"));
    expect(own.values["lm_head.weight"]).toBe(3);
    expect(await own.json("config.json")).toMatchObject({ tie_word_embeddings: false });
    expect(own.warnings).toEqual([
      'moved: config.json says that head and embedding are one, but "lm_head.weight" is another tensor; it is merged as one',
    ]);
  });
});

describe("heads", () => {
  test("of tied models beside untied ones are their embeddings, and the flag says what is written", async () => {
    await models.model("untied", 1, decoder(1), configOf({ tie_word_embeddings: false }));
    await models.model("tied", 3, decoder(1, { head: false }), configOf({ tie_word_embeddings: true }));
    for (const order of [
      ["untied", "tied"],
      ["tied", "untied"],
    ]) {
      const { values, json } = await models.merge(linear(...order));
      expect(values["lm_head.weight"]).toBe(2);
      expect(await json("config.json")).toMatchObject({ tie_word_embeddings: false });
    }
  });

  test("that are missing although nothing ties them are refused", async () => {
    await models.model("headless", 1, decoder(1, { head: false }), configOf({ tie_word_embeddings: false }));
    expect(await models.refusal(linear("untied", "headless"))).toBe(
      'headless: expected the tensor "lm_head.weight" of untied, found none',
    );
  });
});

test("a model without the prefix of its class speaks of the same tensors", async () => {
  await models.model("with", 1, decoder(2, { head: false }), configOf({ tie_word_embeddings: true }));
  await models.model("without", 3, decoder(2, { head: false, prefix: "" }), configOf({ tie_word_embeddings: true }));
  const one = await models.merge(linear("with", "without"));
  expect(one.values["model.layers.1.input_layernorm.weight"]).toBe(2);
  expect(one.warnings).toEqual(['without: its tensors are those of with without the prefix "model."']);
  const other = await models.merge(linear("without", "with"));
  expect(other.values["layers.1.input_layernorm.weight"]).toBe(2);
  expect(other.warnings).toEqual(['with: its tensors are those of without with the prefix "model."']);
});

test("an index that lists a tensor which no file holds is told, and the model is merged", async () => {
  await models.model("indexed", 1, {});
  await mkdir(join(models.folder, "sharded"), { recursive: true });
  await writeFile(join(models.folder, "sharded/config.json"), "{}");
  await writeSafetensors(join(models.folder, "sharded/a.safetensors"), [["w", filled(1, [2])]]);
  const map = { metadata: {}, weight_map: { w: "a.safetensors", "lm_head.weight": "a.safetensors" } };
  await writeFile(join(models.folder, "sharded/model.safetensors.index.json"), JSON.stringify(map));
  const { warnings, values } = await models.merge(linear("sharded"));
  expect(values).toEqual({ w: 1 });
  expect(warnings).toEqual(['sharded: its index lists the tensor "lm_head.weight", which no file holds']);
});

describe("quantised weights are refused as such", () => {
  const advice = "merge the floating-point model that it was made from, or a dequantised copy";

  test("with the method that the config names", async () => {
    const packed = { "h.0.up.weight": bytes("U8", [8, 1]), "h.0.up.weight.absmax": bytes("U8", [2]) };
    await models.model("packed", 1, packed, {
      "config.json": { quantization_config: { quant_method: "bitsandbytes" } },
    });
    expect(await models.refusal(linear("packed"))).toBe(
      `packed: its weights are quantised by bitsandbytes ("h.0.up.weight" is U8); ${advice}`,
    );
  });

  test("in eight floating-point bits, or with names of packed weights", async () => {
    const eight: Tensor = { dtype: "F8_E4M3", shape: [2, 2], data: new Uint8Array(4) };
    await models.model("fp8", 1, { "h.0.up.weight": eight });
    expect(await models.refusal(linear("fp8"))).toBe(
      `fp8: its weights are quantised ("h.0.up.weight" is F8_E4M3); ${advice}`,
    );
    const words: Tensor = { dtype: "I32", shape: [2, 2], data: new Int32Array(4) };
    await models.model("gptq", 1, { "h.0.up.qweight": words });
    expect(await models.refusal(linear("gptq"))).toBe(
      `gptq: its weights are quantised ("h.0.up.qweight" is I32); ${advice}`,
    );
  });

  test("but not where the weights are plain and the config alone says so", async () => {
    await models.model("left", 1, { w: [2] }, { "config.json": { quantization_config: { quant_method: "fp8" } } });
    expect((await models.merge(linear("left"))).values).toEqual({ w: 1 });
  });
});

test("a pointer of git-lfs is called one", async () => {
  await models.model("pointer", 1, { w: [2] });
  const text = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 4096\n`;
  await writeFile(join(models.folder, "pointer/model.safetensors"), text);
  expect(await models.refusal(linear("pointer"))).toBe(
    "pointer/model.safetensors: a pointer of git-lfs lies here, not the file itself; fetch it with git lfs pull, or download it",
  );
});

describe("configs that differ", () => {
  test("in what changes the numbers are told; names, versions and tokens are not", async () => {
    const common = { hidden_act: "silu", rms_norm_eps: 1e-5 };
    await models.model(
      "a",
      1,
      { w: [2] },
      { "config.json": { ...common, rope_theta: 10000, transformers_version: "4", eos_token_id: 1 } },
    );
    const other = { ...common, rope_parameters: { rope_type: "default", rope_theta: 1e6 }, rms_norm_eps: 1e-6 };
    await models.model("b", 1, { w: [2] }, { "config.json": { ...other, transformers_version: "5", eos_token_id: 2 } });
    expect((await models.merge(linear("a", "b"))).warnings).toEqual([
      "b: its config differs from that of a, which the result has, in rms_norm_eps (0.000001, there 0.00001), rope_theta (1000000, there 10000)",
    ]);
  });

  test("in spelling alone are not", async () => {
    await models.model(
      "old",
      1,
      { w: [2] },
      { "config.json": '{"rope_theta": 10000.0, "rope_scaling": null, "cap": 30.0}' },
    );
    await models.model(
      "new",
      1,
      { w: [2] },
      { "config.json": '{"rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}, "cap": 30}' },
    );
    expect((await models.merge(linear("old", "new"))).warnings).toEqual([]);
  });
});

test("a filter that is part of no tensor's name is told", async () => {
  await models.model("filtered", 1, { "h.0.attn.weight": [2], "h.0.mlp.weight": [2] });
  const weight = [{ filter: "self_attn", value: 0 }, { filter: "mlp", value: 2 }, { value: 1 }];
  const config = { merge_method: "linear", models: [{ model: "filtered", parameters: { weight } }] };
  expect((await models.merge(config)).warnings).toEqual([
    'weight: the filter "self_attn" is part of no tensor\'s name',
  ]);
});
