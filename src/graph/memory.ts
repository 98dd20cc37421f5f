/**
 * How much memory a lowered graph takes while it runs, from its nodes alone. ONNX Runtime runs nodes depth first from
 * the last leaf, and decides on buffers beforehand: a value lives from its node to the last one that reads it, a
 * reshaped value is the same memory, a few operators may write over an input that nobody else reads, and a new value
 * takes a buffer of its own shape that was given up before (which keeps that buffer in between). The same decisions are
 * made here; no arena is assumed, so what is given up is free.
 */
import type { ElementType, OnnxNode } from "../formats/onnx.ts";
import { elements } from "./graph.ts";

const ELEMENT_BYTES: Readonly<Record<ElementType, number>> = { float32: 4, float64: 8, int32: 4, int64: 8, bool: 1 };

/** The result is the memory of the first input. */
const ALIASES: readonly string[] = ["Reshape", "Identity"];
/** The result may take the memory of the first input. */
const IN_PLACE: readonly string[] = ["ScatterElements", "Cast", "Sigmoid", "Tanh"];

/** A value between nodes. */
export interface Extent {
  readonly shape: readonly number[];
  readonly type: ElementType;
}

function extentBytes({ shape, type }: Extent): number {
  return elements(shape) * ELEMENT_BYTES[type];
}

/** Nodes as they are written, the names of outputs, and the extents of all values that nodes make. */
export interface NodeList {
  readonly nodes: readonly OnnxNode[];
  readonly outputs: readonly string[];
  readonly extent: (name: string) => Extent | undefined;
}

interface Buffer {
  readonly extent: Extent;
  readonly from: number;
  until: number;
  /** Reads still to come. */
  reads: number;
}

/** Bytes alive at the worst moment of a run, besides inputs and constants. */
export interface Peak {
  /** What lies between inputs and outputs. */
  readonly inner: number;
  /** Outputs too: each from its node to the end. */
  readonly withOutputs: number;
}

export function peakBytes(list: NodeList): Peak {
  const order = executionOrder(list.nodes);
  const buffers = placeBuffers(order, list);
  const outputs = order.flatMap((node, from) =>
    node.outputs.flatMap((name) => {
      const extent = list.outputs.includes(name) ? list.extent(name) : undefined;
      return extent === undefined ? [] : [{ extent, from, until: order.length }];
    }),
  );
  return { inner: mostAlive(buffers, order.length), withOutputs: mostAlive([...buffers, ...outputs], order.length) };
}

/** The largest sum of bytes that are alive together, over `steps` nodes. */
function mostAlive(buffers: readonly Pick<Buffer, "extent" | "from" | "until">[], steps: number): number {
  // Bytes by which the sum changes before each node.
  const changes = new Float64Array(steps + 2);
  for (const { extent, from, until } of buffers) {
    changes[from] = changes[from]! + extentBytes(extent);
    changes[until + 1] = changes[until + 1]! - extentBytes(extent);
  }
  let alive = 0;
  let peak = 0;
  for (const change of changes) {
    alive += change;
    peak = Math.max(peak, alive);
  }
  return peak;
}

/**
 * Bytes that the runtime keeps for a session, fitted to programs of 600 to 6,500 nodes (3.5 to 33 MB): its threads, what
 * it knows of every node, and constants twice.
 */
export function sessionBytes(nodes: number, modelBytes: number): number {
  return 2e6 + 2500 * nodes + 2 * modelBytes;
}

/** Depth first from the last leaf to the first, an input of a later place before one of an earlier. */
export function executionOrder(nodes: readonly OnnxNode[]): OnnxNode[] {
  const producer = new Map<string, number>();
  const read = new Set<string>();
  nodes.forEach((node, index) => {
    for (const name of node.outputs) producer.set(name, index);
    for (const name of node.inputs) read.add(name);
  });
  const order: OnnxNode[] = [];
  const seen = new Set<number>();
  const stack: { readonly index: number; readonly done: boolean }[] = [];
  nodes.forEach(({ outputs }, index) => {
    if (!outputs.some((name) => read.has(name))) stack.push({ index, done: false });
  });
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    const { index, done } = entry;
    const node = nodes[index]!;
    if (done) order.push(node);
    else if (!seen.has(index)) {
      seen.add(index);
      stack.push({ index, done: true });
      const before = node.inputs.flatMap((name) => producer.get(name) ?? []).sort((a, b) => a - b);
      for (const next of before) if (!seen.has(next)) stack.push({ index: next, done: false });
    }
  }
  return order;
}

function placeBuffers(order: readonly OnnxNode[], { outputs, extent }: NodeList): Buffer[] {
  const readers = new Map<string, number>();
  for (const { inputs } of order) for (const name of inputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  const placed = new Map<string, Buffer>();
  const buffers: Buffer[] = [];
  const given: Buffer[] = [];
  order.forEach((node, step) => {
    for (const name of node.outputs) {
      const size = extent(name);
      if (size === undefined || outputs.includes(name)) continue;
      const reads = readers.get(name) ?? 0;
      const source = placed.get(node.inputs[0] ?? "");
      if (ALIASES.includes(node.op)) {
        // Without a buffer the source is an input or a constant, and so is this.
        if (source === undefined) continue;
        source.reads += reads;
        placed.set(name, source);
        continue;
      }
      const writesOver = IN_PLACE.includes(node.op) && source?.reads === 1 && sameExtent(source.extent, size);
      const old = writesOver ? source : take(given, size);
      if (old !== undefined) {
        old.reads += reads;
        placed.set(name, old);
        continue;
      }
      const buffer = { extent: size, from: step, until: step, reads };
      buffers.push(buffer);
      placed.set(name, buffer);
    }
    for (const name of [...node.inputs, ...node.outputs]) {
      const buffer = placed.get(name);
      if (buffer === undefined) continue;
      buffer.until = step;
      if (node.inputs.includes(name)) buffer.reads--;
      if (buffer.reads === 0 && !given.includes(buffer)) given.unshift(buffer);
    }
  });
  return buffers;
}

/** The buffer given up last among those of this extent. */
function take(given: Buffer[], size: Extent): Buffer | undefined {
  const index = given.findIndex(({ extent }) => sameExtent(extent, size));
  return index < 0 ? undefined : given.splice(index, 1)[0];
}

function sameExtent(a: Extent, b: Extent): boolean {
  return (
    a.type === b.type && a.shape.length === b.shape.length && a.shape.every((size, axis) => size === b.shape[axis])
  );
}
