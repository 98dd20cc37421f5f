/** Tool calls and tools, as JSON for the template to write: in OpenAI's form, whatever form the record has. */
import { Irregular } from "../irregular.ts";
import { checkJson, describe, type Foreign, isFilled, isObject, parsedJson } from "./values.ts";

/** The calls of a turn: `tool_calls`, or the one `function_call` of older files. */
export function toolCallsOf(entry: Foreign, where: string): readonly unknown[] | undefined {
  const { tool_calls: calls, function_call: call } = entry;
  if (isFilled(calls)) return objectsOf(calls, `${where}.tool_calls`);
  if (isFilled(call)) return objectsOf([call], `${where}.function_call`).map(asFunction);
  return undefined;
}

/** The calls of a turn that is nothing but the JSON of one call or of several. */
export function callsIn(content: string, where: string): readonly unknown[] {
  const value = parsedJson(content);
  return objectsOf(isObject(value) ? [value] : (value ?? content), where).map(asFunction);
}

/** The tools that a record offers: `tools` as a list or its JSON, or the `functions` of older files. */
export function toolsOf(record: Foreign): readonly unknown[] | undefined {
  const { tools, functions } = record;
  const given = listed(tools);
  if (isFilled(given)) return objectsOf(given, "tools");
  const older = listed(functions);
  return isFilled(older) ? objectsOf(older, "functions").map(asFunction) : undefined;
}

function listed(value: unknown): unknown {
  return typeof value === "string" && value.trim() !== "" ? (parsedJson(value) ?? value) : value;
}

function objectsOf(value: unknown, where: string): readonly Foreign[] {
  const list = typeof value === "string" ? parsedJson(value) : value;
  if (!Array.isArray(list) || list.length === 0 || !list.every(isObject)) {
    throw new Irregular(
      "with tools or tool calls that are not JSON objects",
      `expected ${where} to be a list of JSON objects, found ${describe(value)}`,
    );
  }
  checkJson(list, where);
  return list;
}

function asFunction(one: unknown): unknown {
  return isObject(one) && isObject(one.function) ? one : { type: "function", function: one };
}
