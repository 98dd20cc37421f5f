/**
 * The yardstick: the speed of the runtime's own matrix product, [1024, 1024] by [1024, 1024], with the engine's session
 * settings and in the same run. A pass is judged by the share of it that its necessary products reach: everything else
 * (softmax, norms, copies, the optimiser) counts as loss.
 */
import { InferenceSession, Tensor } from "onnxruntime-node";
import { encodeOnnx } from "../dist/formats/onnx.js";

const SIDE = 1024;
/** Products one after another in one run: alone one takes 10 ms, a good part of it waking threads and leaving the runtime. */
const PRODUCTS = 8;

/**
 * Multiplications and additions of the products that a forward pass over `sequences` x `length` positions with `rows`
 * rows before the head cannot do without; training needs two more for each. Causal attention needs half of a square.
 * @param {import("./random-model.mjs").Size} size
 * @param {{ sequences: number, length: number, rows: number, training: boolean }} pass
 */
export function operations(size, { sequences, length, rows, training }) {
  const { hidden, layers, heads, keyValueHeads = heads, intermediate, vocabulary } = size;
  const positions = sequences * length;
  const projections = 2 * hidden * hidden * (1 + keyValueHeads / heads);
  const linear = positions * (projections + 3 * hidden * intermediate);
  const attention = 2 * sequences * hidden * (length * (length + 1)) * 0.5;
  return 2 * (training ? 3 : 1) * (layers * (linear + attention) + rows * hidden * vocabulary);
}

/**
 * A function that times products after one run that does not count, and gives their speed in GFLOPS.
 * @param {number} threads
 */
export async function productTimer(threads) {
  const shape = [SIDE, SIDE];
  const value = (/** @type {string} */ name) => ({ name, type: /** @type {const} */ ("float32"), shape });
  const onnx = encodeOnnx({
    opsets: { "": 21 },
    inputs: [value("x0"), value("b")],
    outputs: [value(`x${PRODUCTS}`)],
    initializers: [],
    nodes: Array.from({ length: PRODUCTS }, (_, i) => ({
      op: "MatMul",
      inputs: [`x${i}`, "b"],
      outputs: [`x${i + 1}`],
    })),
  });
  const session = await InferenceSession.create(onnx, {
    intraOpNumThreads: threads,
    enableCpuMemArena: false,
    enableMemPattern: false,
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
  const filled = () => {
    const values = Float32Array.from({ length: SIDE * SIDE }, (_, i) => ((i * 7919) % 2001) / 1000 - 1);
    return new Tensor("float32", values, shape);
  };
  const feeds = { x0: filled(), b: filled() };
  return async () => {
    await session.run(feeds);
    const start = performance.now();
    await session.run(feeds);
    return (PRODUCTS * 2 * SIDE ** 3) / (performance.now() - start) / 1e6;
  };
}
