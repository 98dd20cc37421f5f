/**
 * An engine of our own for the tests of the stage: its logits are uniform, and its "weights" are four numbers that
 * every step changes in a way that depends on everything the step was given, in order. Whatever a resumed training
 * does differently from an uninterrupted one shows in them.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Engine, StepResult, Trainer, TrainStep } from "#src/engine/engine.js";
import { modelFacts } from "#src/engine/index.js";
import { writeFileAtomic } from "#src/formats/files.js";
import { writeSafetensors } from "#src/formats/safetensors.js";

export interface FakeEngine extends Engine {
  /** Every step taken since the engine was made. */
  readonly steps: TrainStep[];
}

export interface FakeOptions {
  readonly vocabulary?: number;
  /** Changes a step's result, or throws. `step` counts the steps of this engine, from 0. */
  readonly onStep?: (step: number, result: StepResult) => StepResult;
  /** Called before a checkpoint is written; may throw. */
  readonly onCheckpoint?: (path: string) => Promise<void>;
}

export function fakeEngine(options: FakeOptions = {}): FakeEngine {
  const steps: TrainStep[] = [];
  const nats = Math.log(options.vocabulary ?? 479);
  return {
    kind: "fake",
    steps,
    facts: (folder) => modelFacts("onnx", folder),
    open: () => Promise.reject(new Error("the fake engine only trains")),
    train: async () => trainer(),
    dispose: async () => {},
  };

  function trainer(): Trainer {
    let state = Float64Array.of(0.1, 0.2, 0.3, 0.4);
    return {
      step: async (step) => {
        steps.push(step);
        let rows = 0;
        let mass = 0;
        for (const sequence of step.sequences) {
          rows += sequence.positions.length;
          for (const q of sequence.targetProbability) mass += q;
          for (const id of [...sequence.ids, ...sequence.targetId]) state[0] = (state[0]! * 1.37 + id) % 1;
        }
        state[1] = Math.sin(state[1]! + state[0]! + step.learningRate);
        state[2] = Math.cos(state[2]! + mass + step.lambda);
        state[3] = state[3]! + 1;
        const result = { rows, labelLoss: nats, fusionLoss: (mass / rows) * nats, gradientNorm: 1 + state[0]! };
        return options.onStep?.(steps.length - 1, result) ?? result;
      },
      saveCheckpoint: async (path) => {
        await options.onCheckpoint?.(path);
        await writeFileAtomic(path, new Uint8Array(state.buffer.slice(0)));
      },
      loadCheckpoint: async (path) => {
        state = new Float64Array(new Uint8Array(await readFile(path)).buffer);
      },
      saveWeights: (folder, dtype) => {
        if (dtype !== "float32") throw new Error("the fake engine writes float32");
        const data = Float32Array.from(state);
        return writeSafetensors(join(folder, "model.safetensors"), [["state", { dtype: "F32", shape: [4], data }]]);
      },
      dispose: async () => {},
    };
  }
}
