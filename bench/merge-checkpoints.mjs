/**
 * Checkpoints to merge: a Llama-shaped base in bfloat16 and variants of it whose updates differ in size from model to
 * model and from tensor to tensor, so that selections, votes and coefficients have something to decide. With a
 * tokenizer of a few words, for merges copy one.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openSafetensorsWriter } from "../dist/formats/safetensors.js";
import { createRandom } from "../dist/random.js";

/** Values drawn at a time. */
const CHUNK = 2 ** 20;
/** Normal deviates that all values are taken from, by stretches that begin anywhere: to draw each would take minutes. */
const POOL = 2 * CHUNK;
/** Of a variant's updates, in turn from tensor to tensor. */
const SCALES = [1, 0.5, 2, 0.25, 4];

/**
 * Names and shapes in the order of the file.
 * @param {import("./random-model.mjs").Size} size
 */
export function tensorsOf({ hidden, layers, heads, keyValueHeads = heads, intermediate, vocabulary }) {
  const narrow = (hidden / heads) * keyValueHeads;
  const list = [{ name: "model.embed_tokens.weight", shape: [vocabulary, hidden] }];
  for (let layer = 0; layer < layers; layer++) {
    const add = (/** @type {string} */ name, /** @type {number[]} */ ...shape) =>
      list.push({ name: `model.layers.${layer}.${name}.weight`, shape });
    add("input_layernorm", hidden);
    add("self_attn.q_proj", hidden, hidden);
    add("self_attn.k_proj", narrow, hidden);
    add("self_attn.v_proj", narrow, hidden);
    add("self_attn.o_proj", hidden, hidden);
    add("post_attention_layernorm", hidden);
    add("mlp.gate_proj", intermediate, hidden);
    add("mlp.up_proj", intermediate, hidden);
    add("mlp.down_proj", hidden, intermediate);
  }
  list.push({ name: "model.norm.weight", shape: [hidden] }, { name: "lm_head.weight", shape: [vocabulary, hidden] });
  return list;
}

/** @param {readonly number[]} shape */
export function product(shape) {
  return shape.reduce((total, extent) => total * extent, 1);
}

/**
 * Writes `folder`/base and `folder`/t1 and so on, `models` of them.
 * @param {string} folder
 * @param {import("./random-model.mjs").Size} size
 * @param {{ models: number, rms?: number }} options root mean square of the updates
 * @returns {Promise<readonly string[]>} the models' names, the base first
 */
export async function writeCheckpoints(folder, size, { models, rms = 1e-3 }) {
  const names = ["base", ...Array.from({ length: models }, (_, index) => `t${index + 1}`)];
  const weights = normals("weights");
  for (const [index, name] of names.entries()) {
    const updates = index === 0 ? undefined : normals(`updates of ${name}`);
    await writeModel(join(folder, name), size, index, weights, updates, rms);
  }
  return names;
}

/**
 * @param {string} folder
 * @param {import("./random-model.mjs").Size} size
 * @param {number} index 0 for the base
 * @param {Float32Array} weights
 * @param {Float32Array | undefined} updates
 * @param {number} rms
 */
async function writeModel(folder, size, index, weights, updates, rms) {
  await mkdir(folder, { recursive: true });
  for (const [name, document] of Object.entries(filesOf(size))) {
    await writeFile(join(folder, name), JSON.stringify(document));
  }
  const tensors = tensorsOf(size);
  const entries = tensors.map(({ name, shape }) => ({ name, shape, dtype: /** @type {const} */ ("BF16") }));
  const writer = await openSafetensorsWriter(join(folder, "model.safetensors"), entries, { format: "pt" });
  // The same places in the weights for every model, and others in its updates.
  const place = createRandom("places of weights");
  const other = createRandom(`places of updates ${index}`);
  const values = new Float32Array(CHUNK);
  for (const [number, { name, shape }] of tensors.entries()) {
    const mean = name.endsWith("norm.weight") ? 1 : 0;
    const scale = rms * SCALES[(index + number) % SCALES.length];
    const count = product(shape);
    for (let first = 0; first < count; first += CHUNK) {
      const part = Math.min(CHUNK, count - first);
      const a = place.integer(POOL - CHUNK);
      const b = other.integer(POOL - CHUNK);
      for (let i = 0; i < part; i++) values[i] = mean + 0.02 * weights[a + i];
      if (updates !== undefined) for (let i = 0; i < part; i++) values[i] += scale * updates[b + i];
      await writer.write(bfloat16(values.subarray(0, part)));
    }
  }
  await writer.commit();
}

/** @param {Float32Array} values the first of its buffer */
function bfloat16(values) {
  const bits = new Uint32Array(values.buffer, 0, values.length);
  const rounded = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) rounded[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16;
  return new Uint8Array(rounded.buffer);
}

/** @param {string} seed */
function normals(seed) {
  const random = createRandom(`bench/merge: ${seed}`);
  return Float32Array.from({ length: POOL }, () => random.normal());
}

/** @param {import("./random-model.mjs").Size} size */
function filesOf({ hidden, layers, heads, keyValueHeads = heads, intermediate, vocabulary }) {
  const words = ["<unk>", "<s>", "</s>", ...Array.from({ length: 13 }, (_, index) => `word${index}`)];
  return {
    "config.json": {
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      hidden_size: hidden,
      num_hidden_layers: layers,
      num_attention_heads: heads,
      num_key_value_heads: keyValueHeads,
      intermediate_size: intermediate,
      vocab_size: vocabulary,
      max_position_embeddings: 2048,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: false,
      torch_dtype: "bfloat16",
    },
    "tokenizer.json": {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: "Whitespace" },
      post_processor: null,
      decoder: null,
      model: {
        type: "WordLevel",
        vocab: Object.fromEntries(words.map((word, id) => [word, id])),
        unk_token: "<unk>",
      },
    },
    "tokenizer_config.json": { tokenizer_class: "PreTrainedTokenizerFast", unk_token: "<unk>" },
  };
}
