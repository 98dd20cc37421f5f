/** Layers by the names of tensors. */
import { expect, test } from "vitest";
import { countLayers, depthsOf, layerOf, layerPlace, mainStack } from "#src/merge/layers.js";

test("depth runs from the first layer to the last; outside of the layers it is 0, in a single layer 1", () => {
  const depth = depthsOf(["model.embed_tokens.weight", "model.layers.0.a", "model.layers.4.a"]);
  expect(["model.layers.0.a", "model.layers.1.a", "model.layers.4.a", "lm_head.weight"].map(depth)).toEqual([
    0, 0.25, 1, 0,
  ]);
  expect(depthsOf(["model.layers.0.a"])("model.layers.0.a")).toBe(1);
});

test("the layer is the first number of the name", () => {
  expect(layerOf("model.layers.12.block_sparse_moe.experts.3.w1.weight")).toBe(12);
  expect(layerOf("model.norm2.weight")).toBeUndefined();
});

test("every stack of layers has a depth of its own", () => {
  const names = ["vision.blocks.0.a", "vision.blocks.1.a", "text.layers.0.a", "text.layers.4.a"];
  expect([...countLayers(names)]).toEqual([
    ["vision.blocks", 2],
    ["text.layers", 5],
  ]);
  const depth = depthsOf(names);
  expect([depth("vision.blocks.1.a"), depth("text.layers.1.a")]).toEqual([1, 0.25]);
});

test("a place is stack, layer and the rest", () => {
  expect(layerPlace("encoder.block.3.layer.0.SelfAttention.q.weight")).toEqual({
    stack: "encoder.block",
    layer: 3,
    rest: "layer.0.SelfAttention.q.weight",
  });
});

test("slices cut the stack that holds most bytes", () => {
  const tensors = { "v.blocks.0.a": 10, "t.layers.0.a": 6, "t.layers.1.a": 6, embedding: 100 };
  expect(mainStack(Object.entries(tensors).map(([name, byteLength]) => [name, { byteLength }] as const))).toBe(
    "t.layers",
  );
  expect(mainStack([])).toBeUndefined();
});
