/** Random checkpoints of the sizes the benchmarks speak of, as ordinary model folders in a temporary place. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSafetensorsWriter } from "../dist/formats/safetensors.js";
import { modelShapes } from "../dist/models/index.js";
import { createRandom } from "../dist/random.js";

/** @typedef {{ hidden: number, layers: number, heads: number, intermediate: number, vocabulary: number }} Size */

/** Tied Llama decoders: 3.5 and 28 million parameters. @type {Readonly<Record<string, Size>>} */
export const SIZES = {
  small: { hidden: 256, layers: 4, heads: 4, intermediate: 640, vocabulary: 2048 },
  larger: { hidden: 512, layers: 8, heads: 8, intermediate: 1280, vocabulary: 8192 },
};

/**
 * The folder of a new checkpoint; the caller removes it.
 * @param {Size} size
 * @returns {Promise<string>}
 */
export async function randomModel(size) {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-bench-"));
  const config = {
    model_type: "llama",
    hidden_size: size.hidden,
    num_hidden_layers: size.layers,
    num_attention_heads: size.heads,
    intermediate_size: size.intermediate,
    vocab_size: size.vocabulary,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const shapes = await modelShapes(folder);
  const entries = shapes.map(({ name, shape }) => ({ name, shape, dtype: /** @type {const} */ ("F32") }));
  const writer = await openSafetensorsWriter(join(folder, "model.safetensors"), entries, { format: "pt" });
  const random = createRandom("bench");
  for (const { shape } of shapes) {
    const values = new Float32Array(shape.reduce((product, extent) => product * extent, 1));
    if (shape.length === 1) values.fill(1);
    else for (let i = 0; i < values.length; i++) values[i] = 0.02 * random.normal();
    await writer.write(new Uint8Array(values.buffer));
  }
  await writer.commit();
  return folder;
}
