/** An engine of our own: every distribution is a function of the row's place alone, and calls are counted. */
import type { Engine, EngineModel, RowBatch, Sequence } from "#src/engine/engine.js";
import { modelFacts } from "#src/engine/index.js";

export interface FakeEngine extends Engine {
  /** Sequences whose rows were asked for, by call. */
  readonly calls: number[];
}

export function fakeEngine(vocabulary: number, change: (rows: RowBatch) => RowBatch = (rows) => rows): FakeEngine {
  const calls: number[] = [];
  const rows = async (sequences: readonly Sequence[], topK: number): Promise<RowBatch> => {
    calls.push(sequences.length);
    const labelLogp: number[] = [];
    const topId: number[] = [];
    const topLogp: number[] = [];
    for (const { ids, positions } of sequences) {
      for (const position of positions) {
        labelLogp.push(-1 - (ids[position]! % 7));
        for (let k = 0; k < topK; k++) {
          topId.push((ids[position - 1]! + k) % vocabulary);
          topLogp.push(-5 * (k + 1));
        }
      }
    }
    return change({
      labelLogp: Float32Array.from(labelLogp),
      topId: Int32Array.from(topId),
      topLogp: Float32Array.from(topLogp),
    });
  };
  const unused = (): never => {
    throw new Error("the fake engine has rows only");
  };
  const open = async (folder: string): Promise<EngineModel> => ({
    folder,
    vocabulary,
    parameters: 0,
    rows,
    logits: unused,
    generate: unused,
    dispose: async () => {},
  });
  const facts = (folder: string) => modelFacts("onnx", folder);
  return { kind: "fake", calls, facts, open, train: unused, dispose: async () => {} };
}
