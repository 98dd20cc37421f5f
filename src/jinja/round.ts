/** The filter `round`: common, ceil or floor. */
import { bind, intOf, textOf } from "./arguments.ts";
import { fixed } from "./decimals.ts";
import { type Call, isInteger, isNumber, numeric, TemplateError, typeName, Unsupported, type Value } from "./values.ts";

export function roundFilter(value: Value, given: Call, where: string): Value {
  const [precision, method] = bind(where, given, ["precision", "method"]);
  const places = intOf(where, precision) ?? 0;
  const way = textOf(where, method) ?? "common";
  if (!["common", "ceil", "floor"].includes(way)) throw new TemplateError("round: expected common, ceil or floor");
  if (!isNumber(value)) throw new TemplateError(`round: expected a number, found ${typeName(value)}`);
  if (way === "common") {
    if (isInteger(value)) {
      if (places < 0) throw new Unsupported("round: places of an int below 0 are not supported");
      return numeric(value);
    }
    return roundFloat(value, places);
  }
  const scaled = Number(value) * 10 ** places;
  return (way === "ceil" ? Math.ceil(scaled) : Math.floor(scaled)) / 10 ** places;
}

/** To so many places, half to even of the exact value. */
function roundFloat(value: number, places: number): number {
  if (!Number.isFinite(value) || places > 300) return value;
  if (places < 0) throw new Unsupported("round: places below 0 are not supported");
  const rounded = Number(fixed(value, places));
  return value < 0 || Object.is(value, -0) ? -rounded : rounded;
}
