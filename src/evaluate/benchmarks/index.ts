/** All benchmarks, in the order of lists and help: one file each, one line here. */
import { inputError, suggestion } from "../../errors.ts";
import { alpacaEval } from "./alpaca-eval.ts";
import type { Benchmark } from "./benchmark.ts";
import { exactMatch } from "./exact-match.ts";
import { heldOut } from "./held-out.ts";
import { mtBench } from "./mt-bench.ts";

export const BENCHMARKS: readonly Benchmark[] = [heldOut, alpacaEval, mtBench, exactMatch];

/** The benchmark of this name, else an input error that lists what there is. */
export function benchmark(name: string): Benchmark {
  const found = BENCHMARKS.find((candidate) => candidate.name === name);
  if (found !== undefined) return found;
  const names = BENCHMARKS.map((candidate) => candidate.name);
  throw inputError("evaluate", `unknown benchmark "${name}"${suggestion(name, names)} (there is: ${names.join(", ")})`);
}
