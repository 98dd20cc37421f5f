/** What an evaluation leaves below `--out`, laid out as in a run directory: `<benchmark>/<model>.json`, answers and judgments beside it. */
import { join } from "node:path";
import type { BenchmarkResult } from "../evaluate/benchmarks/benchmark.ts";
import { BENCHMARKS } from "../evaluate/benchmarks/index.ts";
import { writeJson } from "../formats/files.ts";
import type { BenchmarkComparison } from "../recipe/results.ts";

export interface KeptEvaluation {
  /** Where a model's answers and judgments go, and another call finds them. */
  answers(model: string): string;
  result(result: BenchmarkResult): Promise<void>;
  comparison(comparison: BenchmarkComparison): Promise<void>;
}

/** Whether an entry of the folder is one that evaluations write. */
export function isOfEvaluation(entry: string): boolean {
  return BENCHMARKS.some(({ name }) => entry === name || entry === `${name}.json`);
}

export function keepEvaluation(out: string, benchmark: string): KeptEvaluation {
  const write = async (path: string, value: unknown): Promise<void> => {
    await writeJson(path, value);
  };
  return {
    answers: (model) => join(out, benchmark, fileName(model)),
    result: (result) => write(join(out, benchmark, `${fileName(result.model)}.json`), result),
    comparison: (comparison) => write(join(out, `${benchmark}.json`), comparison),
  };
}

/** A model may be called by its path; long names keep their end, which tells them apart. */
function fileName(model: string): string {
  const plain = model.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "");
  return plain.slice(-LONGEST) || "model";
}

const LONGEST = 120;
