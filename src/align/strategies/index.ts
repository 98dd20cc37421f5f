/** The vocabulary strategies, in the order of help and reports: one file each, one line here. */
import { inputError, suggestion } from "../../errors.ts";
import { exact } from "./exact.ts";
import { mappingStatistics } from "./mapping-statistics.ts";
import { minEdit } from "./min-edit.ts";
import { prefix } from "./prefix.ts";
import { split } from "./split.ts";
import type { VocabularyStrategy } from "./strategy.ts";

export const STRATEGIES: readonly VocabularyStrategy[] = [split, mappingStatistics, exact, prefix, minEdit];

export const DEFAULT_STRATEGY = "split";

export function findStrategy(name: string): VocabularyStrategy {
  const found = STRATEGIES.find((strategy) => strategy.name === name);
  if (found !== undefined) return found;
  const names = STRATEGIES.map((strategy) => strategy.name);
  throw inputError(
    "align",
    `unknown vocabulary strategy "${name}"${suggestion(name, names) || `; there is ${names.join(", ")}`}`,
  );
}
