/**
 * The yardstick: how long the runtime's own matrix products take for the sizes of a pass, each as a program of one
 * MatMul node. What a pass takes beyond them is what this project can lose or save.
 */
import { InferenceSession, Tensor } from "onnxruntime-node";
import { encodeOnnx } from "../dist/formats/onnx.js";

/** @typedef {{ batch: number, m: number, k: number, n: number, count: number }} Product */

/**
 * Products of a forward pass over `sequences` x `length` positions with `rows` rows before the head and, where
 * training, of the backward pass: two more for each, for the gradients of both factors.
 * @param {import("./random-model.mjs").Size} size
 * @param {{ sequences: number, length: number, rows: number, training: boolean }} pass
 * @returns {Product[]}
 */
export function productsOf({ hidden, layers, heads, intermediate, vocabulary }, { sequences, length, rows, training }) {
  const positions = sequences * length;
  const headSize = hidden / heads;
  /** @type {Product[]} */
  const forward = [
    { batch: 1, m: positions, k: hidden, n: hidden, count: 4 * layers },
    { batch: 1, m: positions, k: hidden, n: intermediate, count: 2 * layers },
    { batch: 1, m: positions, k: intermediate, n: hidden, count: layers },
    { batch: sequences * heads, m: length, k: headSize, n: length, count: layers },
    { batch: sequences * heads, m: length, k: length, n: headSize, count: layers },
    { batch: 1, m: rows, k: hidden, n: vocabulary, count: 1 },
  ];
  if (!training) return forward;
  return forward.flatMap((product) => {
    const { batch, m, k, n, count } = product;
    return [product, { batch, m, k: n, n: k, count }, { batch, m: k, k: m, n, count }];
  });
}

/**
 * A function that measures all products once, in milliseconds.
 * @param {readonly Product[]} products
 * @param {number} threads
 */
export async function productTimer(products, threads) {
  const timers = await Promise.all(
    products.map(async ({ batch, m, k, n, count }) => {
      const a = /** @type {const} */ ({ name: "a", type: "float32", shape: [batch, m, k] });
      const b = /** @type {const} */ ({ name: "b", type: "float32", shape: [batch, k, n] });
      const c = /** @type {const} */ ({ name: "c", type: "float32", shape: [batch, m, n] });
      const onnx = encodeOnnx({
        opsets: { "": 21 },
        inputs: [a, b],
        outputs: [c],
        initializers: [],
        nodes: [{ op: "MatMul", inputs: ["a", "b"], outputs: ["c"] }],
      });
      // As the engine's own sessions, so that only the operations differ.
      const session = await InferenceSession.create(onnx, {
        intraOpNumThreads: threads,
        enableCpuMemArena: false,
        enableMemPattern: false,
        extra: { session: { intra_op: { allow_spinning: "0" } } },
      });
      const feeds = Object.fromEntries([a, b].map(({ name, shape }) => [name, filled(shape)]));
      const into = { c: filled(c.shape) };
      return async () => {
        const start = performance.now();
        await session.run(feeds, into);
        return (performance.now() - start) * count;
      };
    }),
  );
  return async () => {
    let total = 0;
    for (const time of timers) total += await time();
    return total;
  };
}

/** Multiplications and additions of the products. @param {readonly Product[]} products */
export function operations(products) {
  return products.reduce((sum, { batch, m, k, n, count }) => sum + 2 * batch * m * k * n * count, 0);
}

/** @param {readonly number[]} shape */
function filled(shape) {
  const values = new Float32Array(shape.reduce((product, extent) => product * extent, 1));
  for (let i = 0; i < values.length; i++) values[i] = ((i * 7919) % 2001) / 1000 - 1;
  return new Tensor("float32", values, shape);
}
