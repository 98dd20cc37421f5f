/**
 * Tables by name that a foreign name may be looked up in. An object literal has names that nobody wrote (`constructor`,
 * `toString`, `__proto__`): looked up they are found, and written to, `__proto__` is lost. These have no prototype. A test
 * (`test/tables.test.ts`) refuses literals in their place.
 */
export type Table<Value> = Readonly<Record<string, Value>>;

/** A table of entries that the program has. */
export function tableOf<Value>(entries: Table<Value>): Table<Value> {
  return Object.assign(emptyTable<Value>(), entries);
}

/** A table to be filled, with foreign names too. */
export function emptyTable<Value>(): Record<string, Value> {
  return Object.create(null) as Record<string, Value>;
}
