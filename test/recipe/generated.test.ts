/** What is made from the schema is current. `npx vitest run test/recipe/generated.test.ts -u` makes it again. */

import { expect, test } from "vitest";
import { recipeJsonSchemaText } from "#src/recipe/json-schema.js";
import { recipeFields, recipeReference } from "#src/recipe/reference.js";

test("schema/recipe.json is made from the schema", async () => {
  await expect(recipeJsonSchemaText()).toMatchFileSnapshot("../../schema/recipe.json");
});

test("docs/recipe.md is made from the schema", async () => {
  await expect(recipeReference()).toMatchFileSnapshot("../../docs/recipe.md");
});

test("every key has a description that ends in its unit and default", () => {
  const fields = recipeFields();
  expect(fields.length).toBeGreaterThan(40);
  for (const { key, description } of fields) {
    expect(description, key).toMatch(/^[A-Z`].*\. \([^;()]+; (required|default .+)\)$/);
  }
});

test("the JSON Schema is draft-07, and only three keys are required", () => {
  const schema = JSON.parse(recipeJsonSchemaText());
  expect(schema.$schema).toBe("http://json-schema.org/draft-07/schema#");
  expect(schema.required).toEqual(["pivot", "sources", "data"]);
  expect(schema.additionalProperties).toBe(false);
  expect(schema.properties.fuse.properties.lr.default).toBe(5e-6);
});
