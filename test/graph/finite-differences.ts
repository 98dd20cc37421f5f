/** Derivatives by central differences in double precision, the measure every gradient of the graph is held to. */
import { gradients } from "#src/graph/autodiff.js";
import { constant, createGraph, elements, type Graph, input, output, type Value } from "#src/graph/graph.js";
import { lowerGraph } from "#src/graph/lower.js";
import { multiply } from "#src/graph/ops/arithmetic.js";
import { reduceSum } from "#src/graph/ops/broadcast.js";
import { reshape } from "#src/graph/ops/shape.js";
import { createRandom } from "#src/random.js";
import { type Feed, openGraph, runGraph } from "./run-graph.ts";

const STEP = 1e-5;

/** Normal deviates, the same for the same name. */
export function normal(seed: string, count: number): Float64Array {
  const random = createRandom(seed);
  return Float64Array.from({ length: count }, () => random.normal());
}

/**
 * The largest difference between the graph's gradients and finite differences, over all entries of all inputs and
 * relative to the largest gradient, of a random projection of `build`'s result. Also what the two precisions of the
 * forward pass differ by, relative to its largest entry.
 */
export async function gradientError(
  shapes: readonly (readonly number[])[],
  build: (inputs: readonly Value[], graph: Graph) => Value,
  values?: readonly Float64Array[],
): Promise<{ readonly gradient: number; readonly precision: number }> {
  const graph = createGraph();
  const inputs = shapes.map((shape, index) => input(graph, `x${index}`, shape, "float"));
  const result = build(inputs, graph);
  const count = elements(result.shape);
  const projection = constant(graph, normal("projection", count), result.shape, "float");
  const axes = result.shape.map((_, axis) => axis);
  const projected = reshape(reduceSum(multiply(result, projection), axes), []);
  const found = gradients(graph, [[projected, constant(graph, [1], [], "float")]], inputs);
  output(graph, "loss", projected);
  output(graph, "result", result);
  found.forEach((gradient, index) => {
    if (gradient !== undefined) output(graph, `grad${index}`, gradient);
  });

  const points = values ?? shapes.map((shape, index) => normal(`x${index}`, elements(shape)));
  const feeds = Object.fromEntries(points.map((data, index) => [`x${index}`, [data, shapes[index]!] as Feed]));
  const run = await openGraph(lowerGraph(graph, "float64"));
  const exact = await run(feeds);
  let gradient = 0;
  let largest = 0;
  for (const [index, data] of points.entries()) {
    for (let place = 0; place < data.length; place++) {
      const at = async (offset: number): Promise<number> => {
        const moved = data.slice();
        moved[place]! += offset;
        return (await run({ ...feeds, [`x${index}`]: [moved, shapes[index]!] })).loss![0]!;
      };
      const expected = ((await at(STEP)) - (await at(-STEP))) / (2 * STEP);
      gradient = Math.max(gradient, Math.abs(expected - exact[`grad${index}`]![place]!));
      largest = Math.max(largest, Math.abs(expected));
    }
  }

  const singleFeeds = Object.fromEntries(
    points.map((data, index) => [`x${index}`, [Float32Array.from(data), shapes[index]!] as Feed]),
  );
  const single = await runGraph(lowerGraph(graph, "float32"), singleFeeds);
  let precision = 0;
  let size = 0;
  exact.result!.forEach((value, place) => {
    precision = Math.max(precision, Math.abs(value - single.result![place]!));
    size = Math.max(size, Math.abs(value));
  });
  return { gradient: gradient / largest, precision: precision / size };
}
