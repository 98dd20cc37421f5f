import { expect, test } from "vitest";
import { DEMO_SETTINGS, demoRecipe } from "#src/lab/demo-recipe.js";
import { parseRecipe } from "#src/recipe/parse.js";

const paths = { models: "models", fusion: "fusion.jsonl", heldOut: "held-out.jsonl" };

test("the demonstration's recipe is valid and says what the sweep chose", () => {
  const { recipe } = parseRecipe(demoRecipe(DEMO_SETTINGS, paths), "recipe.yaml");
  expect(recipe.pivot).toMatchObject({ name: "lab-mistral", model: "models/lab-mistral" });
  expect(recipe.sources.map(({ name }) => name)).toEqual(["lab-llama", "lab-qwen2"]);
  expect(recipe.fuse).toMatchObject(DEMO_SETTINGS);
  expect(recipe.fuse).toMatchObject({ sources: "together", level: "group", emphasis: "even" });
  expect(recipe.baselines).toEqual(["sft", "pairwise"]);
  expect(recipe.merge.map(({ name, method }) => [name, method])).toEqual([["fused", "linear"]]);
});
