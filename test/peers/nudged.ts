/** Another model of the same architecture. */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { openWeights } from "#src/formats/weights.js";
import { createRandom } from "#src/random.js";

/** Writes the model with a small random number added to every entry, in float32. */
export async function writeNudged(model: string, to: string, seed: string): Promise<void> {
  await cp(model, to, { recursive: true, filter: (path) => !/\.safetensors/.test(path) });
  const weights = await openWeights(model);
  const random = createRandom(seed);
  const tensors: [string, Tensor][] = [];
  for (const [name, { shape }] of weights.tensors) {
    const data = (await weights.float32(name)).map((value) => value + 0.01 * random.normal());
    tensors.push([name, { dtype: "F32", shape, data }]);
  }
  await writeSafetensors(join(to, "model.safetensors"), tensors);
}
