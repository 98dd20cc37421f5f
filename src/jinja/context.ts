/** What a template is rendered with, from JavaScript's values to Python's. */
import { Dict, TemplateError, type Value } from "./values.ts";

/** Lists and objects inside each other. */
const DEEPEST = 200;

/** JSON has one kind of number: those without a fraction are ints, as in most files they are. */
export function toValue(value: unknown, depth = 0): Value {
  if (depth > DEEPEST) throw new TemplateError(`a value has more than ${DEEPEST} lists or objects inside each other`);
  if (value === null || typeof value === "boolean" || typeof value === "string" || typeof value === "bigint")
    return value;
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map((item) => toValue(item, depth + 1));
  if (typeof value === "object") {
    return new Dict(
      Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([key, item]) => [key, toValue(item, depth + 1)]),
    );
  }
  throw new TemplateError(`expected a JSON value, found ${typeof value}`);
}
