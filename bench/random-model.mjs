/** Random checkpoints of the sizes the benchmarks speak of, as ordinary model folders in a temporary place. */
import { mkdtemp, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { float32ToFloat16 } from "../dist/formats/float.js";
import { openSafetensorsWriter } from "../dist/formats/safetensors.js";
import { openModel } from "../dist/models/index.js";

/**
 * `keyValueHeads` where they are fewer than the heads, `type` where it is not "llama", `tied` where it is not true.
 * @typedef {{ hidden: number, layers: number, heads: number, keyValueHeads?: number, intermediate: number,
 *   vocabulary: number, type?: string, tied?: boolean }} Size
 */

/** @typedef {"F32" | "F16" | "BF16"} Dtype */

/** Two small decoders, 3.5 and 28 million parameters, and three published shapes. @type {Readonly<Record<string, Size>>} */
export const SIZES = {
  small: { hidden: 256, layers: 4, heads: 4, intermediate: 640, vocabulary: 2048 },
  larger: { hidden: 512, layers: 8, heads: 8, intermediate: 1280, vocabulary: 8192 },
  "smollm2-135m": { hidden: 576, layers: 30, heads: 9, keyValueHeads: 3, intermediate: 1536, vocabulary: 49152 },
  "qwen2.5-0.5b": {
    type: "qwen2",
    hidden: 896,
    layers: 24,
    heads: 14,
    keyValueHeads: 2,
    intermediate: 4864,
    vocabulary: 151936,
  },
  "tinyllama-1.1b": {
    hidden: 2048,
    layers: 22,
    heads: 32,
    keyValueHeads: 4,
    intermediate: 5632,
    vocabulary: 32000,
    tied: false,
  },
};

/** Values drawn and written at a time. */
const CHUNK = 2 ** 20;

/**
 * The folder of a new checkpoint; the caller removes it. The files of `tokenizer`, a folder, are linked where one is
 * given.
 * @param {Size} size
 * @param {{ dtype?: Dtype, tokenizer?: string }} [options]
 * @returns {Promise<string>}
 */
export async function randomModel(size, { dtype = "F32", tokenizer } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-bench-"));
  const config = {
    model_type: size.type ?? "llama",
    hidden_size: size.hidden,
    num_hidden_layers: size.layers,
    num_attention_heads: size.heads,
    num_key_value_heads: size.keyValueHeads ?? size.heads,
    intermediate_size: size.intermediate,
    vocab_size: size.vocabulary,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: size.tied ?? true,
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  for (const name of tokenizer === undefined ? [] : ["tokenizer.json", "tokenizer_config.json"]) {
    await symlink(resolve(tokenizer, name), join(folder, name));
  }
  const { shapes } = await openModel(folder);
  const entries = shapes.map(({ name, shape }) => ({ name, shape, dtype }));
  const writer = await openSafetensorsWriter(join(folder, "model.safetensors"), entries, { format: "pt" });
  const draw = uniform(1);
  for (const { name, shape } of shapes) {
    const count = shape.reduce((product, extent) => product * extent, 1);
    for (let first = 0; first < count; first += CHUNK) {
      const values = new Float32Array(Math.min(CHUNK, count - first));
      if (shape.length > 1) draw(values, 0.02);
      else if (!name.endsWith(".bias")) values.fill(1);
      await writer.write(stored(values, dtype));
    }
  }
  await writer.commit();
  return folder;
}

/**
 * Fills with even noise of a standard deviation: a xorshift generator (Marsaglia 2003) draws a thousand million values
 * in some seconds, and nobody looks at them closely.
 * @param {number} seed
 */
function uniform(seed) {
  let state = seed;
  return (/** @type {Float32Array} */ values, /** @type {number} */ deviation) => {
    const scale = (deviation * Math.sqrt(3)) / 2 ** 31;
    for (let i = 0; i < values.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      values[i] = state * scale;
    }
  };
}

/**
 * The bytes of the values in a file; towards zero in BF16, where rounding would take longer than all the rest.
 * @param {Float32Array} values
 * @param {Dtype} dtype
 */
function stored(values, dtype) {
  if (dtype === "F32") return new Uint8Array(values.buffer);
  if (dtype === "F16") return new Uint8Array(float32ToFloat16(values).buffer);
  const words = new Uint32Array(values.buffer);
  const patterns = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) patterns[i] = words[i] >>> 16;
  return new Uint8Array(patterns.buffer);
}
