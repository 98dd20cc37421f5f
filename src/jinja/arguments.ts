/** Arguments of a call, brought to the parameters of a function as Python brings them. */
import { type Call, isInteger, Markup, numeric, TemplateError, typeName, type Value } from "./values.ts";

/** One value a parameter, in their order; those that were not given are left undefined, the first `required` must be. */
export function bind(
  where: string,
  { positional, keyword }: Call,
  names: readonly string[],
  required = 0,
): (Value | undefined)[] {
  if (positional.length > names.length) {
    throw new TemplateError(`${where}: expected at most ${names.length} arguments, found ${positional.length}`);
  }
  const values: (Value | undefined)[] = names.map((_, index) => positional[index]);
  for (const [name, value] of keyword) {
    const index = names.indexOf(name);
    if (index < 0) throw new TemplateError(`${where}: there is no argument named ${name}`);
    if (values[index] !== undefined) throw new TemplateError(`${where}: the argument ${name} is given twice`);
    values[index] = value;
  }
  const missing = values.slice(0, required).indexOf(undefined);
  if (missing >= 0) throw new TemplateError(`${where}: expected the argument ${names[missing]}`);
  return values;
}

export function textOf(where: string, value: Value): string;
export function textOf(where: string, value: Value | undefined): string | undefined;
export function textOf(where: string, value: Value | undefined): string | undefined {
  if (value === undefined || typeof value === "string") return value;
  if (value instanceof Markup) return value.text;
  throw new TemplateError(`${where}: expected a text, found ${typeName(value)}`);
}

/** An int, for places where Python takes nothing else. */
export function intOf(where: string, value: Value): number;
export function intOf(where: string, value: Value | undefined): number | undefined;
export function intOf(where: string, value: Value | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!isInteger(value)) throw new TemplateError(`${where}: expected an int, found ${typeName(value)}`);
  return Number(numeric(value));
}

/** The same where None stands for the default. */
export function optionalInt(where: string, value: Value | undefined): number | undefined {
  return value === null ? undefined : intOf(where, value);
}
