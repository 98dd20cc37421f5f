/** The estimates of all engines, by kind. To add one: a file in the engine's folder, and a line in the function below. */
import type { Estimate } from "./estimate.ts";
import type { EngineSettings } from "./index.ts";
import { estimateOnnx } from "./onnx/estimate.ts";
import { availableMemory } from "./onnx/memory-check.ts";
import { assumedThroughput, type Throughput } from "./onnx/throughput.ts";
import { estimateServer } from "./server/estimate.ts";
import { estimateTorch } from "./torch/estimate.ts";
import type { PythonFacts } from "./torch/python.ts";

/** What is known of this machine; what is not given is assumed. */
export interface MachineFacts {
  /** Of the embedded engine. */
  readonly throughput?: Throughput;
  /** Of main memory, for this process. */
  readonly availableBytes?: number;
  /** Of a Python, by its command. */
  readonly pythons?: ReadonlyMap<string, PythonFacts>;
}

export type Estimates = (engine: EngineSettings) => Estimate;

export function estimatesFor(machine: MachineFacts = {}): Estimates {
  const availableBytes = machine.availableBytes ?? availableMemory();
  const throughput = (threads: number | null): Throughput => machine.throughput ?? assumedThroughput(threads);
  return (engine) => {
    switch (engine.kind) {
      case "onnx":
        return estimateOnnx(throughput(engine.threads), availableBytes);
      case "torch": {
        const facts = machine.pythons?.get(engine.python) ?? null;
        return estimateTorch(engine, { facts, availableBytes, throughput: throughput(null) });
      }
      default:
        return estimateServer(engine, availableBytes);
    }
  };
}
