/**
 * From a graph to the bytes of an ONNX model. Only what the outputs depend on is written; weights and other inputs stay
 * inputs, so one session serves every optimiser step. The order of nodes is an order of evaluation, and it decides
 * when the runtime evaluates what (see `memory.ts`).
 */
import { internalError } from "../errors.ts";
import { type ElementType, encodeOnnx, type OnnxInitializer, type OnnxNode, type OnnxValue } from "../formats/onnx.ts";
import { type Dtype, type Emitter, elements, type FloatType, type Graph, type Node, type Value } from "./graph.ts";
import { type Extent, type Peak, peakBytes, sessionBytes } from "./memory.ts";

/** Larger constants (masks, rotary tables) are shared by whoever builds the graph, not compared here. */
const LARGE_CONSTANT_BYTES = 4096;
const OPSETS = { "": 21, "com.microsoft": 1 } as const;

export interface LoweredGraph {
  readonly onnx: Uint8Array;
  /** Names of the inputs that are read, in the order they were declared: the runtime refuses others. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** What a run takes at its worst moment, besides inputs. */
  readonly peakBytes: Peak;
  /** What a session of it keeps. */
  readonly sessionBytes: number;
}

export function lowerGraph(graph: Graph, float: FloatType): LoweredGraph {
  const live = liveNodes(graph);
  const names = new Map<Value, string>();
  const read = new Set<Value>([...live.flatMap((node) => node.inputs), ...graph.outputs.values()]);
  const inputs: OnnxValue[] = [];
  for (const [name, value] of graph.inputs) {
    names.set(value, name);
    if (read.has(value)) inputs.push({ name, type: elementType(value.dtype, float), shape: value.shape });
  }
  const nodes: OnnxNode[] = [];
  const constants = new Map<string, OnnxInitializer>();
  const extents = new Map<string, Extent>();
  /** What temporaries of the node in hand are taken to be, where it does not say: as its result. */
  let current: Extent = { shape: [], type: float };
  let temporaries = 0;
  const emit: Emitter = {
    float,
    node: (op, from, to, attributes, domain) => {
      nodes.push({
        op,
        inputs: from,
        outputs: to,
        ...(attributes === undefined ? {} : { attributes }),
        ...(domain === undefined ? {} : { domain }),
      });
    },
    temporary: (shape = current.shape) => {
      const temporary = `t${temporaries++}`;
      extents.set(temporary, { shape, type: current.type });
      return temporary;
    },
    constant: (values, shape, dtype) => {
      if (values.length !== elements(shape)) throw internalError(`${values.length} values for a constant [${shape}]`);
      const type = elementType(dtype, float);
      const bytes = constantBytes(values, type);
      const large = bytes.length > LARGE_CONSTANT_BYTES;
      const key = large ? `${constants.size}` : `${type}/${shape}/${Buffer.from(bytes).toString("latin1")}`;
      const known = constants.get(key);
      if (known !== undefined) return known.name;
      const name = `c${constants.size}`;
      constants.set(key, { name, type, shape, bytes });
      return name;
    },
  };
  const ownName = new Map<Value, string>();
  for (const [outputName, value] of graph.outputs) ownName.set(value, ownName.get(value) ?? outputName);
  for (const node of leavesLast(live)) {
    for (const value of node.outputs) {
      const own = ownName.get(value) ?? `v${names.size}`;
      names.set(value, own);
      extents.set(own, { shape: value.shape, type: elementType(value.dtype, float) });
    }
    const { shape, dtype } = node.outputs[0]!;
    current = { shape, type: elementType(dtype, float) };
    node.lower(
      emit,
      node.inputs.map((value) => name(names, value)),
      node.outputs.map((value) => name(names, value)),
    );
  }
  const outputs: OnnxValue[] = [];
  for (const [outputName, value] of graph.outputs) {
    const source = name(names, value);
    if (source !== outputName) nodes.push({ op: "Identity", inputs: [source], outputs: [outputName] });
    outputs.push({ name: outputName, type: elementType(value.dtype, float), shape: value.shape });
  }
  const onnx = encodeOnnx({ opsets: OPSETS, inputs, outputs, nodes, initializers: [...constants.values()] });
  return {
    onnx,
    inputs: inputs.map((value) => value.name),
    outputs: outputs.map((value) => value.name),
    peakBytes: peakBytes({
      nodes,
      outputs: outputs.map((value) => value.name),
      extent: (value) => extents.get(value),
    }),
    sessionBytes: sessionBytes(nodes.length, onnx.length),
  };
}

function name(names: ReadonlyMap<Value, string>, value: Value): string {
  const known = names.get(value);
  if (known === undefined) throw internalError("a value of another graph, or of a later node, was read");
  return known;
}

/** The nodes that the outputs depend on, in order. */
function liveNodes(graph: Graph): Node[] {
  const needed = new Set<Value>(graph.outputs.values());
  const live: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((value) => needed.has(value))) continue;
    for (const value of node.inputs) needed.add(value);
    live.push(node);
  }
  return live.reverse();
}

/**
 * Nodes that nobody reads after all others, last built first. The runtime starts at the last leaf, so that leaves are
 * evaluated as they were built: the gradient of a weight as soon as it can be, not after the whole backward pass with
 * all activations still alive.
 */
function leavesLast(live: readonly Node[]): Node[] {
  const read = new Set(live.flatMap((node) => node.inputs));
  const isLeaf = (node: Node): boolean => !node.outputs.some((value) => read.has(value));
  return [...live.filter((node) => !isLeaf(node)), ...live.filter(isLeaf).reverse()];
}

function elementType(dtype: Dtype, float: FloatType): ElementType {
  return dtype === "float" ? float : dtype;
}

function constantBytes(values: ArrayLike<number>, type: ElementType): Uint8Array {
  switch (type) {
    case "float32":
      return new Uint8Array(Float32Array.from(values).buffer);
    case "float64":
      return new Uint8Array(Float64Array.from(values).buffer);
    case "int32":
      return new Uint8Array(Int32Array.from(values).buffer);
    case "int64":
      return new Uint8Array(BigInt64Array.from(Array.from(values, BigInt)).buffer);
    case "bool":
      return Uint8Array.from(values);
  }
}
