import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { parseRecipe } from "#src/recipe/parse.js";

const examples = resolve(import.meta.dirname, "../../examples");
const recipes = readdirSync(examples, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".yaml") && readFileSync(join(examples, name), "utf8").includes("\npivot:"))
  .sort();

test("there are examples", () => {
  expect(recipes.length).toBeGreaterThanOrEqual(3);
});

test.each(recipes)("examples/%s is a recipe, and says where its schema is", (name) => {
  const text = readFileSync(join(examples, name), "utf8");
  expect(parseRecipe(text, name).recipe.sources.length).toBeGreaterThan(0);
  expect(text).toMatch(/^# yaml-language-server: \$schema=(\.\.\/)+schema\/recipe\.json\n/);
});
