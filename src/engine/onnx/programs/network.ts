/**
 * What the programs of the engine share. A program is a pure function from a model and a static shape to the bytes of an
 * ONNX model. Every weight is an input under its checkpoint name, in its checkpoint layout or, where tokens are generated, in
 * panels, so one session serves all steps.
 *
 * Legend: B sequences, T positions each (padded on the right), N rows, V vocabulary, W target width, K kept entries.
 * A row is addressed by the flat index `b * T + t` of the hidden state before its label.
 */
import { createGraph, type FloatType, type Graph, input, type Value } from "../../../graph/graph.ts";
import type { LoweredGraph } from "../../../graph/lower.ts";
import { gatherRows } from "../../../graph/ops/indexing.ts";
import { gemm } from "../../../graph/ops/matmul.ts";
import { gatherPanelRows, panelProduct, panelShape } from "../../../graph/ops/panel-product.ts";
import { reshape } from "../../../graph/ops/shape.ts";
import { softCap } from "../../../graph/ops/soft-cap.ts";
import type { KeyValueCache } from "../../../models/architecture.ts";
import { forward, type Model } from "../../../models/index.ts";

/** The bytes of an ONNX model, the inputs it reads (data and weights) and its outputs. */
export type Program = LoweredGraph;

export interface ProgramShape {
  readonly batch: number;
  readonly length: number;
  /** Whether its sequences are long ones (`isLongSequence`); where absent they are not. */
  readonly isLong?: boolean;
  /** Precision of every float inside and at the border; float32 where absent. float64 is for checks. */
  readonly float?: FloatType;
}

export interface NetworkOptions {
  /** Gives the pass a key-value cache. */
  readonly cacheOf?: (graph: Graph) => KeyValueCache;
  /** Whether matrices lie in panels, where their rows fill them; where absent all are as in the checkpoint. */
  readonly panels?: boolean;
}

export interface BuiltNetwork {
  readonly graph: Graph;
  /** [B * T, hidden], looked up. */
  readonly embedded: Value;
  /** [B * T, hidden], what the head reads. */
  readonly hidden: Value;
  /** [V, hidden], or that in panels. */
  readonly head: () => Value;
  /** Every weight asked for so far, by its checkpoint name. */
  readonly weights: ReadonlyMap<string, Value>;
}

/** A model's forward pass from its ids, input `ids` int32 [B, T]. */
export function buildNetwork(
  model: Model,
  { batch, length, isLong = false }: ProgramShape,
  { cacheOf, panels = false }: NetworkOptions = {},
): BuiltNetwork {
  const { vocabularySize, hiddenSize } = model.config;
  const graph = createGraph();
  const weights = new Map<string, Value>();
  const weight = (name: string, shape: readonly number[]): Value => {
    const known = weights.get(name) ?? input(graph, name, shape, "float");
    weights.set(name, known);
    return known;
  };
  const ids = reshape(input(graph, "ids", [batch, length], "int32"), [batch * length]);
  const rows = [vocabularySize, hiddenSize] as const;
  const headShape = (panels ? panelShape(rows) : null) ?? rows;
  const embedded =
    model.embedding === model.head && headShape !== rows
      ? gatherPanelRows(weight(model.embedding, headShape), ids)
      : gatherRows(weight(model.embedding, rows), ids);
  const cache = cacheOf === undefined ? {} : { cache: cacheOf(graph) };
  const hidden = forward(model, { graph, batch, length, isLong, weight, panels, ...cache }, embedded);
  return { graph, embedded, hidden, head: () => weight(model.head, headShape), weights };
}

/** Of a network whose matrices lie in panels those that do, with their shapes there. */
export function panelShapes(model: Model): ReadonlyMap<string, readonly number[]> {
  const { weights, head } = buildNetwork(model, { batch: 1, length: 1 }, { panels: true });
  head();
  // No weight has four axes in a checkpoint.
  return new Map([...weights].flatMap(([name, { shape }]) => (shape.length === 4 ? [[name, shape]] : [])));
}

/** [rows, V] from what the head reads [rows, hidden] and its weight [V, hidden], or that in panels. */
export function headLogits(hidden: Value, head: Value, cap: number | null): Value {
  const logits = head.shape.length === 2 ? gemm(hidden, head, { transB: true }) : panelProduct(hidden, head);
  return softCap(logits, cap);
}

/**
 * Rows whose logits exist at a time: 32 MB of single precision, within bounds. More than 512 gain no speed. Every chunk
 * of training reads and writes the head's whole gradient [V, hidden], which with fewer than 256 rows takes longer than
 * the product that it is for.
 */
export function chunkRows(model: Model): number {
  return Math.min(512, Math.max(256, Math.floor(2 ** 23 / model.config.vocabularySize)));
}
