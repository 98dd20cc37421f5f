/** Products with matrices in panels, against plain loops in double precision. */
import { expect, test } from "vitest";
import { createGraph, input, output } from "#src/graph/graph.js";
import { lowerGraph } from "#src/graph/lower.js";
import { arrangePanels, gatherPanelRows, PANEL_WIDTH, panelProduct, panelShape } from "#src/graph/ops/panel-product.js";
import { normal } from "./finite-differences.ts";
import { runGraph } from "./run-graph.ts";

const OUT = 3 * PANEL_WIDTH;
const INNER = 5;
const matrix = Float32Array.from(normal("matrix", OUT * INNER));

function inPanels(): Float32Array {
  const copy = matrix.slice();
  arrangePanels(copy, INNER, "panels");
  return copy;
}

// One row, few rows, which are products of one row each, and more of them.
test.each([1, 3, 4, 5, 9])("a product of %i rows equals a plain loop", async (rows) => {
  const x = Float32Array.from(normal("x", rows * INNER));
  const shape = panelShape([OUT, INNER])!;
  const graph = createGraph();
  output(graph, "y", panelProduct(input(graph, "x", [rows, INNER], "float"), input(graph, "w", shape, "float")));
  const { y } = await runGraph(lowerGraph(graph, "float32"), { x: [x, [rows, INNER]], w: [inPanels(), shape] });
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < OUT; column++) {
      let sum = 0;
      for (let k = 0; k < INNER; k++) sum += x[row * INNER + k]! * matrix[column * INNER + k]!;
      expect(Math.abs(y![row * OUT + column]! - sum)).toBeLessThan(1e-5);
    }
  }
});

test("rows are looked up in panels, and panels become the same rows again", async () => {
  const ids = Int32Array.of(0, 31, 32, 95, 40, 40);
  const shape = panelShape([OUT, INNER])!;
  const graph = createGraph();
  output(graph, "y", gatherPanelRows(input(graph, "w", shape, "float"), input(graph, "ids", [ids.length], "int32")));
  const { y } = await runGraph(lowerGraph(graph, "float32"), { ids: [ids, [ids.length]], w: [inPanels(), shape] });
  expect([...y!]).toEqual([...ids].flatMap((id) => [...matrix.subarray(id * INNER, (id + 1) * INNER)]));
  const back = inPanels();
  expect(back).not.toEqual(matrix);
  arrangePanels(back, INNER, "rows");
  expect(back).toEqual(matrix);
});

test("a matrix whose rows do not fill panels has none", () => {
  expect(panelShape([OUT, INNER])).toEqual([3, 1, INNER, PANEL_WIDTH]);
  expect(panelShape([OUT + 1, INNER])).toBeNull();
});
