/**
 * The yardstick of generation: how fast the runtime can read memory. A token of one sequence needs every weight once,
 * so no step is faster than one pass over as many bytes.
 */
import { InferenceSession, Tensor } from "onnxruntime-node";
import { encodeOnnx } from "../dist/formats/onnx.js";

const COLUMNS = 1024;

/**
 * A function that times one pass over an array of `bytes`, milliseconds.
 * @param {number} bytes
 * @param {number} threads
 */
export async function readTimer(bytes, threads) {
  const shape = [Math.ceil(bytes / 4 / COLUMNS), COLUMNS];
  const type = /** @type {const} */ ("float32");
  const onnx = encodeOnnx({
    opsets: { "": 21 },
    inputs: [{ name: "a", type, shape }],
    outputs: [{ name: "b", type, shape: [shape[0]] }],
    initializers: [{ name: "axis", type: "int64", shape: [1], bytes: new Uint8Array(BigInt64Array.of(1n).buffer) }],
    nodes: [{ op: "ReduceMax", inputs: ["a", "axis"], outputs: ["b"], attributes: { keepdims: { int: 0 } } }],
  });
  const session = await InferenceSession.create(onnx, {
    intraOpNumThreads: threads,
    enableCpuMemArena: false,
    enableMemPattern: false,
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
  const feeds = { a: new Tensor("float32", new Float32Array(shape[0] * COLUMNS).fill(1), shape) };
  return async () => {
    const start = performance.now();
    await session.run(feeds);
    return performance.now() - start;
  };
}
