import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import { encodeOnnx, type OnnxModel } from "#src/formats/onnx.js";

/** The bytes of numbers as the writer wants them. */
const bytes = (data: Float32Array | BigInt64Array | Int32Array): Uint8Array => new Uint8Array(data.buffer);

function model(parts: Partial<OnnxModel>): OnnxModel {
  return { opsets: { "": 21 }, inputs: [], outputs: [], initializers: [], nodes: [], ...parts };
}

async function run(parts: Partial<OnnxModel>, feeds: Record<string, Tensor>): Promise<Record<string, number[]>> {
  const session = await InferenceSession.create(encodeOnnx(model(parts)));
  const results = await session.run(feeds);
  return Object.fromEntries(
    Object.entries(results).map(([name, { data }]) => [name, Array.from(data as Float32Array, Number)]),
  );
}

test("a written model with float, int and list attributes runs as it says", async () => {
  const found = await run(
    {
      inputs: [{ name: "x", type: "float32", shape: [2, 3] }],
      outputs: [
        { name: "leaky", type: "float32", shape: [2, 3] },
        { name: "turned", type: "float32", shape: [3, 2] },
        { name: "sum", type: "float32", shape: [2, 1] },
      ],
      initializers: [{ name: "axes", type: "int64", shape: [1], bytes: bytes(BigInt64Array.of(-1n)) }],
      nodes: [
        { op: "LeakyRelu", inputs: ["x"], outputs: ["leaky"], attributes: { alpha: { float: 0.25 } } },
        { op: "Transpose", inputs: ["leaky"], outputs: ["turned"], attributes: { perm: { ints: [1, 0] } } },
        { op: "ReduceSum", inputs: ["x", "axes"], outputs: ["sum"], attributes: { keepdims: { int: 1 } } },
      ],
    },
    { x: new Tensor("float32", [-4, 1, 2, -8, 3, 5], [2, 3]) },
  );
  expect(found).toEqual({ leaky: [-1, 1, 2, -2, 3, 5], turned: [-1, -2, 1, 3, 2, 5], sum: [-1, 0] });
});

test("string and negative integer attributes arrive whole", async () => {
  const found = await run(
    {
      inputs: [{ name: "x", type: "float32", shape: [2, 2] }],
      outputs: [
        { name: "p", type: "float32", shape: [2, 2] },
        { name: "y", type: "float32", shape: [2, 2] },
      ],
      initializers: [
        { name: "index", type: "int32", shape: [2, 1], bytes: bytes(Int32Array.of(1, 0)) },
        { name: "update", type: "float32", shape: [2, 1], bytes: bytes(Float32Array.of(10, 20)) },
      ],
      nodes: [
        { op: "Softmax", inputs: ["x"], outputs: ["p"], attributes: { axis: { int: -1 } } },
        {
          op: "ScatterElements",
          inputs: ["x", "index", "update"],
          outputs: ["y"],
          attributes: { axis: { int: -1 }, reduction: { string: "add" } },
        },
      ],
    },
    { x: new Tensor("float32", [1, 1, 2, 2], [2, 2]) },
  );
  expect(found).toEqual({ p: [0.5, 0.5, 0.5, 0.5], y: [1, 11, 22, 2] });
});

test("operators of the runtime's own domain are found", async () => {
  const shape = [2, 2];
  const found = await run(
    {
      opsets: { "": 21, "com.microsoft": 1 },
      inputs: [{ name: "x", type: "float32", shape }],
      outputs: [{ name: "y", type: "float32", shape }],
      nodes: [
        {
          op: "FusedMatMul",
          domain: "com.microsoft",
          inputs: ["x", "x"],
          outputs: ["y"],
          attributes: { transB: { int: 1 }, alpha: { float: 0.5 } },
        },
      ],
    },
    { x: new Tensor("float32", [1, 2, 3, 4], shape) },
  );
  expect(found.y).toEqual([2.5, 5.5, 5.5, 12.5]);
});

test("the bytes are those of the protocol buffer specification", () => {
  const written = encodeOnnx(model({ opsets: { "": 300 }, outputs: [{ name: "y", type: "float64", shape: [200] }] }));
  const expected = [
    [0x08, 10], // ir_version
    [0x12, 8, ...Buffer.from("fusechat")], // producer_name
    [0x3a, 25], // graph, 25 bytes
    [0x12, 5, ...Buffer.from("graph")],
    [0x62, 16, 0x0a, 1, ...Buffer.from("y"), 0x12, 11], // output, its name, its type
    [0x0a, 9, 0x08, 11, 0x12, 5, 0x0a, 3, 0x08, 0xc8, 0x01], // tensor of float64 (11) [200]
    [0x42, 5, 0x0a, 0, 0x10, 0xac, 0x02], // opset 300 of the empty domain
  ].flat();
  expect(Buffer.from(written).toString("hex")).toBe(Buffer.from(expected).toString("hex"));
});
