/**
 * Root mean square normalisation (Zhang and Sennrich 2019, eq. 4): `y = x * r * weight` with `r = 1 / rms(x)` of each
 * row. The gradient is written by hand; with `n = x * r` and `g = dy * weight` it is
 * `dx = r * (g - n * mean(g * n))`, `dweight = sum over rows of dy * n`.
 */
import { addNode, composite, constant, type Graph, sharedConstant, type Value } from "../graph.ts";
import { add, addScalar, multiply, reciprocal, scale, sqrt, subtract } from "./arithmetic.ts";
import { gemm } from "./matmul.ts";
import { reduceSumSquare } from "./reduction.ts";
import { reshape } from "./shape.ts";

/** `x` [rows, width], `weight` [width]; `epsilon` is added to the mean square. */
export function rmsNorm(x: Value, weight: Value, epsilon: number): Value {
  const width = x.shape[1]!;
  return composite([x, weight], () => {
    const meanSquare = scale(reduceSumSquare(x, [1]), 1 / width);
    // The runtime's fused normalisation could give r as its second output, but that is wrong on its WebGPU provider.
    const inverse = reciprocal(sqrt(addScalar(meanSquare, epsilon)));
    const normalised = multiply(x, inverse);
    return {
      output: multiply(normalised, weight),
      gradient: (dy) => {
        const product = multiply(dy, normalised);
        const dot = gemm(product, reshape(weight, [width, 1]), { scale: 1 / width });
        const centred = subtract(multiply(dy, weight), multiply(normalised, dot));
        const dx = multiply(centred, inverse);
        return [
          (sum) => (sum === undefined ? dx : add(sum, dx)),
          reshape(gemm(ones(x.graph, x.shape[0]!), product), weight.shape),
        ];
      },
    };
  });
}

/** The same as one operation of the runtime's own. Without a gradient. */
export function fusedRmsNorm(x: Value, weight: Value, epsilon: number): Value {
  return addNode(x.graph, [x, weight], [{ shape: x.shape, dtype: x.dtype }], (emit, inputs, outputs) => {
    const attributes = { axis: { int: -1 }, epsilon: { float: epsilon }, stash_type: { int: 1 } };
    emit.node("SimplifiedLayerNormalization", inputs, outputs, attributes);
  })[0]!;
}

/** [1, count]: a product with it sums over rows twice as fast as the runtime's reduction. */
function ones(graph: Graph, count: number): Value {
  return sharedConstant(graph, `ones/${count}`, () =>
    constant(graph, new Float64Array(count).fill(1), [1, count], "float"),
  );
}
