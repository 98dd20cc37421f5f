/**
 * A network in parts, each a program of its own: what comes before the layers, one layer, and what comes after them.
 * A layer's weights are inputs without the prefix of that layer, so that all layers of one kind are the same program.
 */
import { createGraph, input, output, type Value } from "../../../graph/graph.ts";
import { lowerGraph } from "../../../graph/lower.ts";
import { gatherRows } from "../../../graph/ops/indexing.ts";
import type { Model, Scope } from "../../../models/index.ts";
import type { Program, ProgramShape } from "./network.ts";

/** Input `x` [B * T, hidden], the looked-up embeddings; output `y` of that shape, what the first layer reads. */
export function enterProgram(model: Model, shape: ProgramShape): Program {
  return part(model, shape, "", (scope, x) => model.enter(scope, x));
}

/** Input `x` [B * T, hidden], output `y` of that shape; weights by their names after `model.layerPrefix(index)`. */
export function layerProgram(model: Model, index: number, shape: ProgramShape): Program {
  return part(model, shape, model.layerPrefix(index), (scope, x) => model.layer(scope, index, x));
}

/** Inputs `x` [B * T, hidden] and `row_index` int32 [N]; output `y` [N, hidden], rows of what the head reads. */
export function leaveProgram(model: Model, shape: ProgramShape & { readonly rows: number }): Program {
  return part(model, shape, "", (scope, x) => {
    const index = input(scope.graph, "row_index", [shape.rows], "int32");
    return gatherRows(model.leave(scope, x), index);
  });
}

function part(
  model: Model,
  { batch, length, isLong = false, float = "float32" }: ProgramShape,
  prefix: string,
  build: (scope: Scope, x: Value) => Value,
): Program {
  const graph = createGraph();
  const weights = new Map<string, Value>();
  const weight = (name: string, shape: readonly number[]): Value => {
    const own = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    const known = weights.get(own) ?? input(graph, own, shape, "float");
    weights.set(own, known);
    return known;
  };
  const x = input(graph, "x", [batch * length, model.config.hiddenSize], "float");
  output(graph, "y", build({ graph, batch, length, isLong, weight }, x));
  return lowerGraph(graph, float);
}
