/** What a shape of records is. One file a shape exports one `Shape`; `index.ts` lists them. */
import type { Turn } from "../conversation.ts";
import type { Foreign } from "./values.ts";

export interface Shape {
  /** The keys by which people know it. */
  readonly keys: readonly string[];
  /** One line for the table in `docs/data.md`. */
  readonly summary: string;
  /** True where the turns are a list: what stands beside it is then no question and no answer. */
  readonly isList: boolean;
  /** Whether a record has the keys of this shape. */
  recognises(record: Foreign): boolean;
  /** Its turns, in the order of the record, a mask and reasoning of their own included. Throws `Irregular`. */
  turns(record: Foreign): Turn[];
}
