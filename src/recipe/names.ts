/** The names that a recipe may use, from the lists of the folders that implement them, in the order of those lists. */
import { LABEL_MASSES } from "../align/label-mass.ts";
import { DIVISIONS } from "../align/preference.ts";
import { SEQUENCES } from "../align/sequences/index.ts";
import { STRATEGIES } from "../align/strategies/index.ts";
import { WITHIN } from "../align/within/within.ts";
import { BENCHMARKS } from "../evaluate/benchmarks/index.ts";
import { FUSION_FUNCTIONS } from "../fuse/functions/index.ts";
import { METHODS } from "../merge/methods/index.ts";

export const SEQUENCE_NAMES: readonly string[] = SEQUENCES.map(({ name }) => name);
export const STRATEGY_NAMES: readonly string[] = STRATEGIES.map(({ name }) => name);
export const LABEL_MASS_NAMES: readonly string[] = LABEL_MASSES;
export const DIVISION_NAMES: readonly string[] = DIVISIONS;
export const WITHIN_NAMES: readonly string[] = WITHIN;
export const BENCHMARK_NAMES: readonly string[] = BENCHMARKS.map(({ name }) => name);
export const FUNCTION_NAMES: readonly string[] = FUSION_FUNCTIONS.map(({ name }) => name);
export const METHOD_NAMES: readonly string[] = METHODS.map(({ name }) => name);
