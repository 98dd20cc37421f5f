/** `fusechat list`: what there is of merge methods, vocabulary strategies, fusion functions, architectures and benchmarks, with sources. */

import { STRATEGIES } from "../align/strategies/index.ts";
import { inputError, suggestion } from "../errors.ts";
import { BENCHMARKS } from "../evaluate/benchmarks/index.ts";
import { FUSION_FUNCTIONS } from "../fuse/functions/index.ts";
import { METHODS } from "../merge/methods/index.ts";
import { ARCHITECTURES } from "../models/index.ts";
import { type Table, tableOf } from "../table.ts";
import type { Verb } from "./verb.ts";

interface Entry {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** Citation or address. */
  readonly source: string;
}

const LISTS: Table<readonly Entry[]> = tableOf({
  methods: METHODS.map(({ name, summary, paper }) => ({ name, summary, source: paper })),
  strategies: entries(STRATEGIES),
  functions: FUSION_FUNCTIONS.map(({ name, summary, paper }) => ({ name, summary, source: paper })),
  models: entries(ARCHITECTURES),
  benchmarks: entries(BENCHMARKS),
});

function entries(items: readonly Entry[]): Entry[] {
  return items.map(({ name, summary, source }) => ({ name, summary, source }));
}

export const listVerb: Verb = {
  name: "list",
  summary: "list merge methods, vocabulary strategies, fusion functions, models (architectures) or benchmarks",
  declare: (command) => {
    command.argument("<what>", Object.keys(LISTS).join(", "));
  },
  run: async ({ print, document }, [what = ""]) => {
    const list = Object.hasOwn(LISTS, what) ? LISTS[what] : undefined;
    if (list === undefined) {
      const names = Object.keys(LISTS);
      throw inputError(
        "fusechat list",
        `expected one of ${names.join(", ")}, found "${what}"${suggestion(what, names)}`,
      );
    }
    const rows = [["name", "summary", "source"], ...list.map(({ name, summary, source }) => [name, summary, source])];
    const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
    print(
      rows
        .map(([name, summary, source]) => `${name!.padEnd(widths[0]!)}  ${summary!.padEnd(widths[1]!)}  ${source}`)
        .join("\n"),
    );
    document(list);
    return undefined;
  },
};
