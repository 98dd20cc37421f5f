/** The recipe's JSON Schema, for editors: draft-07, which is what YAML language servers support best. */
import { z } from "zod";
import { recipeSchema } from "./schema.ts";

export function recipeJsonSchema(): object {
  return {
    title: "fusechat recipe",
    ...z.toJSONSchema(recipeSchema, { target: "draft-7", io: "input", reused: "inline" }),
  };
}

/** The text of `schema/recipe.json`. */
export function recipeJsonSchemaText(): string {
  return `${JSON.stringify(recipeJsonSchema(), null, 2)}\n`;
}
