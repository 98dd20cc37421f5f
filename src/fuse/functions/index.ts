/** All fusion functions, in the order of lists and help: one file each, one line here. */
import { inputError, suggestion } from "../../errors.ts";
import { avgCe } from "./avg-ce.ts";
import type { FusionFunction } from "./function.ts";
import { minCe } from "./min-ce.ts";
import { source } from "./source.ts";

export const FUSION_FUNCTIONS: readonly FusionFunction[] = [minCe, avgCe, source];

/** The function of this name, else an input error that lists what there is. */
export function fusionFunction(name: string): FusionFunction {
  const found = FUSION_FUNCTIONS.find((candidate) => candidate.name === name);
  if (found !== undefined) return found;
  const names = FUSION_FUNCTIONS.map((candidate) => candidate.name);
  throw inputError(
    "fuse",
    `unknown fusion function "${name}"${suggestion(name, names)} (there is: ${names.join(", ")})`,
  );
}
