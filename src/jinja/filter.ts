/** What a filter of Jinja is. */
import type { Call, Value } from "./values.ts";

/** Calls another filter by its name: `map` does. */
export type Filters = (name: string, value: Value, given: Call) => Value;

export type Filter = (value: Value, given: Call, where: string, filters: Filters) => Value;
