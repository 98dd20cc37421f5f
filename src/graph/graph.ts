/**
 * A graph of tensor operations with static shapes, the tape that autodiff replays, and the seam to the lowering.
 *
 * Floats are abstract here: the same graph is lowered to single precision for work and to double precision for checks
 * by finite differences. Everything known about one operation stands in one function of `ops/`: its shape rule, its
 * gradient (an entry on the tape) and its lowering. A composite operation is built from others but has one hand-written
 * gradient, so its parts leave no entries.
 */
import { internalError } from "../errors.ts";
import type { OnnxAttribute } from "../formats/onnx.ts";

/** `float` is float32 or float64, decided when the graph is lowered. */
export type Dtype = "float" | "int32" | "int64" | "bool";

export type FloatType = "float32" | "float64";

export interface Value {
  readonly graph: Graph;
  readonly shape: readonly number[];
  readonly dtype: Dtype;
}

/** What a lowering writes to: nodes of the standard operator set or, with a domain, of the runtime's own. */
export interface Emitter {
  readonly float: FloatType;
  node(
    op: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
    domain?: string,
  ): void;
  /**
   * A fresh name for a value between two nodes of one lowering. What it takes in memory follows from `shape`, which is
   * that of the lowering's first output where it is not given.
   */
  temporary(shape?: readonly number[]): string;
  /** The name of a constant; equal ones are stored once. */
  constant(values: ArrayLike<number>, shape: readonly number[], dtype: Dtype): string;
}

export type Lowering = (emit: Emitter, inputs: readonly string[], outputs: readonly string[]) => void;

export interface Node {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly lower: Lowering;
}

/**
 * One input's part of a gradient: a value, or a function that adds it to the sum so far (a matrix product can take
 * that sum as its third operand, which saves a pass over memory), or null where nothing flows.
 */
export type Contribution = Value | ((sum: Value | undefined) => Value) | null;

/** From the gradient of an output to the contributions to each input, in the inputs' order. */
export type Gradient = (gradient: Value) => readonly Contribution[];

export interface TapeEntry {
  readonly inputs: readonly Value[];
  readonly output: Value;
  readonly gradient: Gradient;
}

export interface Graph {
  readonly inputs: Map<string, Value>;
  readonly outputs: Map<string, Value>;
  readonly nodes: Node[];
  readonly tape: TapeEntry[];
  /** Constants by their key, so that a mask or a rotary table of many layers exists once. */
  readonly shared: Map<string, Value>;
  recording: boolean;
}

export function createGraph(): Graph {
  return {
    inputs: new Map(),
    outputs: new Map(),
    nodes: [],
    tape: [],
    shared: new Map(),
    recording: true,
  };
}

export function input(graph: Graph, name: string, shape: readonly number[], dtype: Dtype): Value {
  if (graph.inputs.has(name)) throw internalError(`two graph inputs are called "${name}"`);
  const value = { graph, shape, dtype };
  graph.inputs.set(name, value);
  return value;
}

export function output(graph: Graph, name: string, value: Value): void {
  if (graph.outputs.has(name)) throw internalError(`two graph outputs are called "${name}"`);
  graph.outputs.set(name, value);
}

export function constant(graph: Graph, values: ArrayLike<number>, shape: readonly number[], dtype: Dtype): Value {
  if (values.length !== elements(shape)) throw internalError(`${values.length} values for a constant [${shape}]`);
  return addNode(graph, [], [{ shape, dtype }], (emit, _, [name]) => {
    emit.node("Identity", [emit.constant(values, shape, dtype)], [name!]);
  })[0]!;
}

export function scalar(graph: Graph, value: number): Value {
  return sharedConstant(graph, `scalar/${value}`, () => constant(graph, [value], [], "float"));
}

/** The constant made by the first call with this key. */
export function sharedConstant(graph: Graph, key: string, make: () => Value): Value {
  const value = graph.shared.get(key) ?? make();
  graph.shared.set(key, value);
  return value;
}

/** Adds a node without a gradient. */
export function addNode(
  graph: Graph,
  inputs: readonly Value[],
  outputs: readonly { readonly shape: readonly number[]; readonly dtype: Dtype }[],
  lower: Lowering,
): Value[] {
  const values = outputs.map(({ shape, dtype }) => ({ graph, shape, dtype }));
  graph.nodes.push({ inputs, outputs: values, lower });
  return values;
}

/** Adds a node of one output whose dtype is the first input's, and its gradient. */
export function operation(
  inputs: readonly [Value, ...Value[]],
  shape: readonly number[],
  lower: Lowering,
  gradient: Gradient,
): Value {
  const [{ graph, dtype }] = inputs;
  const [result] = addNode(graph, inputs, [{ shape, dtype }], lower);
  record(graph, { inputs, output: result!, gradient });
  return result!;
}

/** Builds a value from other operations under one gradient written by hand. */
export function composite(
  inputs: readonly [Value, ...Value[]],
  build: () => { readonly output: Value; readonly gradient: Gradient },
): Value {
  const [{ graph }] = inputs;
  const { output, gradient } = withoutTape(graph, build);
  record(graph, { inputs, output, gradient });
  return output;
}

/** Runs `build` leaving no entries on the tape. */
export function withoutTape<T>(graph: Graph, build: () => T): T {
  const recording = graph.recording;
  graph.recording = false;
  try {
    return build();
  } finally {
    graph.recording = recording;
  }
}

function record(graph: Graph, entry: TapeEntry): void {
  if (graph.recording) graph.tape.push(entry);
}

/** The lowering to one standard ONNX node. */
export function onnx(op: string, attributes?: Readonly<Record<string, OnnxAttribute>>): Lowering {
  return (emit, inputs, outputs) => emit.node(op, inputs, outputs, attributes);
}

/** How many elements a shape has. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}
