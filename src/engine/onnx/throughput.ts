/** How fast the embedded engine is: measured where that is cheap, else assumed. */
import { availableParallelism } from "node:os";
import type { Engine, ModelFacts, Sequence } from "../engine.ts";

export interface Throughput {
  inferenceSeconds(parameters: number, tokens: number): number;
  trainingSeconds(parameters: number, tokens: number): number;
  /** One sentence that says where the rate comes from. */
  readonly basis: string;
}

/** A forward pass takes two operations a parameter and token, a training step six (forward, and twice that backward). */
const FORWARD = 2;
const TRAINING = 6;
/** What ONNX Runtime reaches on one core of the processors of 2020 and later, in teacher passes. */
const ASSUMED_RATE_PER_CORE = 40e9;
/** Training reaches this share of the rate of teacher passes: more memory traffic, and the optimiser. */
const TRAINING_SHARE = 0.7;

/** `rate` in operations a second, of teacher passes. */
function throughputAt(rate: number, basis: string): Throughput {
  return {
    basis,
    inferenceSeconds: (parameters, tokens) => (FORWARD * parameters * tokens) / rate,
    trainingSeconds: (parameters, tokens) => (TRAINING * parameters * tokens) / (TRAINING_SHARE * rate),
  };
}

/** `threads` null: one a core. */
export function assumedThroughput(threads: number | null): Throughput {
  const cores = threads ?? availableParallelism();
  const rate = cores * ASSUMED_RATE_PER_CORE;
  return throughputAt(rate, `assumed ${(rate / 1e9).toFixed(0)} GFLOP/s on ${cores} ${cores === 1 ? "core" : "cores"}`);
}

/** Above this size opening the model would take longer than the estimate is worth. */
export const TRIAL_PARAMETERS = 200e6;

/** Times a teacher pass of the pivot over a few conversations, the second time it runs. */
export async function measuredThroughput(
  engine: Engine,
  pivot: { readonly facts: ModelFacts; readonly trial: readonly Sequence[] },
  topK: number,
): Promise<Throughput> {
  const model = await engine.open(pivot.facts.folder);
  try {
    await model.rows(pivot.trial, topK);
    const startedAt = performance.now();
    await model.rows(pivot.trial, topK);
    const seconds = (performance.now() - startedAt) / 1000;
    const tokens = pivot.trial.reduce((sum, { ids }) => sum + ids.length, 0);
    const rate = (FORWARD * (model.parameters ?? 0) * tokens) / seconds;
    const speed = Math.round(tokens / seconds);
    return throughputAt(rate, `measured ${speed} tokens/s in a teacher pass of the pivot over ${tokens} tokens`);
  } finally {
    await model.dispose();
  }
}
