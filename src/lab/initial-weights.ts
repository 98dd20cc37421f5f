/**
 * Where a laboratory model starts: matrices normal with the config's `initializer_range`, norms one, biases zero,
 * drawn from one named stream in the order of the architecture's weights.
 */
import type { Tensor } from "../formats/safetensors.ts";
import { createRandom } from "../random.ts";

interface WeightShape {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Weights by checkpoint name, float32. */
export function initialWeights(shapes: readonly WeightShape[], deviation: number, seed: string): Map<string, Tensor> {
  const random = createRandom(`fusechat/lab/initial/${seed}`);
  return new Map(
    shapes.map(({ name, shape }) => {
      const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
      if (shape.length > 1) for (let i = 0; i < data.length; i++) data[i] = deviation * random.normal();
      else if (!name.endsWith(".bias")) data.fill(1);
      return [name, { dtype: "F32", shape, data } as Tensor];
    }),
  );
}
