/** `docs/recipe.md`, the reference page of the recipe: every key with its description, from the schema itself. */
import { z } from "zod";
import { unwrap } from "./problems.ts";
import { recipeSchema } from "./schema.ts";

export interface RecipeField {
  /** `fuse.lr`; the entries of a list have `[]`. */
  readonly key: string;
  readonly description: string;
  /** What may stand there, for people. */
  readonly values: string;
  readonly isSection: boolean;
}

/** Every key of a recipe in the order of the schema, sections before what is in them. */
export function recipeFields(): RecipeField[] {
  return fieldsOf(recipeSchema, "");
}

export function recipeReference(): string {
  const lines = [
    "# The recipe",
    "",
    "One YAML file says which models are fused, on which conversations, and how. `pivot`, `sources` and `data.path` are",
    "required; every other key has a default. Relative paths are looked up beside the recipe, then from the current folder;",
    "a model that is no folder there and reads `org/name` is one of the [Hub](hub.md).",
    "`fusechat init` writes a recipe to begin with, `fusechat validate` finds all mistakes at once, `fusechat plan` shows",
    "what follows from it. This page is made from the schema in `src/recipe/schema.ts`.",
    "",
    "| key | values | meaning (unit; default) |",
    "|---|---|---|",
    ...recipeFields().map(({ key, values, description }) => `| \`${key}\` | ${cell(values)} | ${cell(description)} |`),
  ];
  return `${lines.join("\n")}\n`;
}

function fieldsOf(schema: z.ZodType, prefix: string): RecipeField[] {
  const fields: RecipeField[] = [];
  for (const [name, field] of objectFields(schema)) {
    const key = `${prefix}${name}`;
    const inner = unwrap(field);
    const isSection = inner.some((branch) => branch instanceof z.ZodObject);
    const item = inner.find((branch) => branch instanceof z.ZodArray);
    fields.push({ key, description: descriptionOf(field), values: valuesOf(field), isSection });
    if (isSection) fields.push(...fieldsOf(field, `${key}.`));
    else if (item !== undefined) fields.push(...fieldsOf(item.element as z.ZodType, `${key}[].`));
  }
  return fields;
}

/** The keys of a schema's mapping forms. Forms of one union share what means the same; what differs comes again. */
function objectFields(schema: z.ZodType): [string, z.ZodType][] {
  const fields = new Map<string, [string, z.ZodType]>();
  for (const branch of unwrap(schema)) {
    if (!(branch instanceof z.ZodObject)) continue;
    for (const [name, field] of Object.entries(branch.shape as Record<string, z.ZodType>)) {
      const meaning = `${name}: ${descriptionOf(field)}`;
      if (!fields.has(meaning)) fields.set(meaning, [name, field]);
    }
  }
  return [...fields.values()];
}

/** A default or an optional key keeps the description on its outside or on what it wraps. */
function descriptionOf(schema: z.ZodType): string {
  if (schema.description !== undefined) return schema.description;
  const wrapped = schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional;
  return wrapped ? descriptionOf(schema.unwrap() as z.ZodType) : "";
}

function valuesOf(schema: z.ZodType): string {
  const words = unwrap(schema).map((branch) => {
    if (branch instanceof z.ZodEnum) return branch.options.map((option) => `\`${option}\``).join(", ");
    if (branch instanceof z.ZodArray) {
      return `a list of ${valuesOf(branch.element as z.ZodType).replace("a mapping", "mappings")}`;
    }
    if (branch instanceof z.ZodObject) return "a mapping";
    if (branch instanceof z.ZodRecord) return "a mapping";
    if (branch instanceof z.ZodLiteral) return `\`${branch.value}\``;
    if (branch instanceof z.ZodBoolean) return "`true`, `false`";
    if (branch instanceof z.ZodNumber) return numberText(branch);
    return "text";
  });
  return [...new Set(words)].join(" or ");
}

function numberText(schema: z.ZodNumber): string {
  const isWhole = schema.format === "safeint";
  const kind = isWhole ? "whole number" : "number";
  const low = schema.minValue;
  const high = schema.maxValue;
  const hasLow = low !== null && low > Number.MIN_SAFE_INTEGER && low !== Number.NEGATIVE_INFINITY;
  const hasHigh = high !== null && high < Number.MAX_SAFE_INTEGER;
  if (hasLow && hasHigh) return `${kind} from ${low} to ${high}`;
  return hasLow ? `${kind} from ${low}` : kind;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
