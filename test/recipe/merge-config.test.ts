/** Which base a recipe's merge has. */
import { expect, test } from "vitest";
import { mergeConfigOf } from "#src/recipe/merge-config.js";
import { parseRecipe } from "#src/recipe/parse.js";

const RECIPE = "pivot: models/a\nsources: [models/b, models/c]\ndata: { path: c.jsonl }\n";

test.each([
  ["sce", "pivot"],
  ["varm", "pivot"],
  ["nuslerp", "pivot"],
  ["linear", undefined],
  ["slerp", "targets/b"],
])("%s differs from %s", (method, base) => {
  const options = method === "slerp" ? ", parameters: { t: 0.5 }" : "";
  const { merge } = parseRecipe(`${RECIPE}merge: { method: ${method}${options} }`, "recipe.yaml").recipe;
  const folders = { pivot: "pivot", models: ["targets/b", "targets/c"] };
  expect(mergeConfigOf(merge[0]!, folders, "float32").base_model).toBe(base);
});

test("what a method cannot merge is refused with the recipe", () => {
  expect(() => parseRecipe(`${RECIPE}merge: { method: passthrough }`, "recipe.yaml")).toThrow(
    "passthrough merges 1 model, found 2",
  );
  expect(() => parseRecipe(`${RECIPE}merge: { method: slerp }`, "recipe.yaml")).toThrow("slerp needs the parameter t");
});

test("words are options, too", () => {
  const text = `${RECIPE}merge: { method: varm, parameters: { granularity: parameter } }`;
  expect(parseRecipe(text, "recipe.yaml").recipe.merge[0]!.parameters).toEqual({ granularity: "parameter" });
});
