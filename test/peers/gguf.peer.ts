/** A merge converted to GGUF by llama.cpp's converter, and read back by the package `gguf`. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readChatTemplate } from "#src/data/template-files.js";
import { readJson } from "#src/formats/files.js";
import { mergeModels } from "#src/merge/merge.js";
import { checkMergeConfig } from "#src/merge/read-config.js";
import { readTokenizerFile } from "#src/merge/vocabulary/tokenizer-file.js";
import { pipeline } from "../engine/onnx/golden.ts";
import { type Model, readModel } from "../merge/compare.ts";
import { describeWithPeers, runModule, runScript } from "./python.ts";

interface Gguf {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly tensors: Readonly<Record<string, GgufTensor>>;
}

interface GgufTensor {
  readonly type: string;
  /** Innermost first. */
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

interface Config {
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly hidden_size: number;
  readonly bos_token_id: number;
  readonly eos_token_id: number;
}

/** By GGUF's names; layers follow from `LAYER`. */
const OUTER: Readonly<Record<string, string>> = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
};
const LAYER: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

describeWithPeers("a merge of Mistral's architecture in GGUF", "nothing was converted to GGUF", () => {
  let folder: string;
  let merged: string;
  let config: Config;
  let weights: Model;
  let gguf: Gguf;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fusechat-peers-"));
    merged = join(folder, "merged");
    const models = ["qwen2", "gemma2"].map((source) => ({ model: join(pipeline, "targets", source) }));
    const linear = checkMergeConfig({ merge_method: "linear", models, parameters: { weight: 0.5 } }, "linear");
    await mergeModels(linear, { out: merged });
    config = (await readJson(join(merged, "config.json"))) as Config;
    weights = await readModel(join(merged, "model.safetensors"));
    const path = join(folder, "merged.gguf");
    await runModule("convert_hf_to_gguf", [merged, "--outtype", "f32", "--outfile", path], { packages: "converter" });
    gguf = await runScript("read_gguf.py", path, { packages: "environment" });
  });

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  test("has every tensor, in shape and values", () => {
    const names = new Map(Object.entries(OUTER));
    for (let layer = 0; layer < config.num_hidden_layers; layer++) {
      for (const [theirs, ours] of Object.entries(LAYER)) {
        names.set(`blk.${layer}.${theirs}.weight`, `model.layers.${layer}.${ours}.weight`);
      }
    }
    expect([...names.values()].sort()).toEqual([...weights.values.keys()].sort());
    expect(Object.keys(gguf.tensors).sort()).toEqual([...names.keys()].sort());
    for (const [theirs, ours] of names) {
      const { type, shape, values } = gguf.tensors[theirs]!;
      expect(type, theirs).toBe("F32");
      expect(shape.toReversed(), theirs).toEqual(weights.shapes.get(ours));
      expect(values, theirs).toEqual([...inOrderOfPairs(theirs, weights.values.get(ours)!, config)]);
    }
  });

  test("has the sizes of the config", () => {
    expect(gguf.fields).toMatchObject({
      "general.architecture": "llama",
      "llama.block_count": config.num_hidden_layers,
      "llama.embedding_length": config.hidden_size,
      "llama.attention.head_count": config.num_attention_heads,
      "llama.attention.head_count_kv": config.num_key_value_heads,
    });
  });

  test("has the tokens by their ids, the special ones and the chat template", async () => {
    const { vocabulary } = await readTokenizerFile(join(merged, "tokenizer.json"));
    const tokens = [...vocabulary].sort(([, a], [, b]) => a - b).map(([token]) => token);
    expect(tokens.length).toBe(weights.shapes.get("lm_head.weight")![0]);
    expect(gguf.fields).toMatchObject({
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.bos_token_id": config.bos_token_id,
      "tokenizer.ggml.eos_token_id": config.eos_token_id,
      "tokenizer.chat_template": (await readChatTemplate(merged)).source,
    });
  });
});

/** llama.cpp turns neighbouring entries of a head, Llama's code an entry and the one half a head further on. */
function inOrderOfPairs(name: string, values: Float64Array, config: Config): Float64Array {
  if (!/attn_[qk]\.weight$/.test(name)) return values;
  const size = config.hidden_size / config.num_attention_heads;
  const moved = new Float64Array(values.length);
  for (let row = 0; row < values.length / config.hidden_size; row++) {
    const place = row % size;
    const from = row - place + (place % 2) * (size / 2) + Math.floor(place / 2);
    const start = from * config.hidden_size;
    moved.set(values.subarray(start, start + config.hidden_size), row * config.hidden_size);
  }
  return moved;
}
