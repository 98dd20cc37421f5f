/**
 * A pass of many micro-batches through a network whose layers are read one after the other: the states of all
 * micro-batches go through a layer before the next one is read, so that each weight is read once a pass. Layers of one
 * kind share their sessions: they are of one kind where their programs are equal, byte for byte.
 */
import { createHash } from "node:crypto";
import type { Model } from "../../../models/index.ts";
import { shapeKey } from "../batches.ts";
import { discard } from "../discard.ts";
import { enterProgram, layerProgram, leaveProgram } from "../programs/layer.ts";
import type { Program } from "../programs/network.ts";
import type { Runtime, Session, Tensors } from "../runtime.ts";
import type { WeightStream } from "./weights.ts";

/** A micro-batch: `ids` [size, length], padded, and the rows that the head will read. */
export interface StreamedBatch {
  readonly size: number;
  readonly length: number;
  readonly isLong: boolean;
  readonly ids: Int32Array;
  /** [N] flat indices into the positions. */
  readonly rowIndex: Int32Array;
}

export interface StreamedNetwork {
  /**
   * What the head reads of each micro-batch: [N, hidden] in single precision, in memory that the next pass overwrites.
   */
  pass(batches: readonly StreamedBatch[]): Promise<Float32Array[]>;
}

export function streamedNetwork(model: Model, weights: WeightStream, runtime: Runtime): StreamedNetwork {
  const { hiddenSize, layers } = model.config;
  const layerSession = layerSessions(model, runtime);
  // Kept from pass to pass: arrays of this size would otherwise wait for the collector.
  let memory = new Float32Array(0);

  return {
    pass: async (batches) => {
      const positions = batches.map(({ size, length }) => size * length);
      const total = positions.reduce((sum, count) => sum + count * hiddenSize, 0);
      if (memory.length < total) memory = new Float32Array(total);
      let start = 0;
      const states = positions.map((count) => {
        const state = memory.subarray(start, start + count * hiddenSize);
        start += state.length;
        return state;
      });
      const run = async (session: Session, n: number, inputs: Tensors): Promise<void> => {
        const x = runtime.tensor(states[n]!, [positions[n]!, hiddenSize]);
        const { y } = await session.run({ ...inputs, x });
        const result = y!.data as Float32Array<ArrayBuffer>;
        states[n]!.set(result);
        await discard([result]);
      };

      const outside = await weights.outside();
      for (const [n, { size, length, ids }] of batches.entries()) {
        await weights.lookUp(ids, states[n]!);
        const key = `${model.folder}: enter ${size} x ${length}`;
        await run(await runtime.session(key, () => enterProgram(model, { batch: size, length })), n, outside);
      }
      for (let index = 0; index < layers; index++) {
        const inputs = await weights.layer(index);
        for (const [n, batch] of batches.entries()) {
          await run(await layerSession(index, batch), n, inputs);
        }
      }
      for (const [n, { size, length, rowIndex }] of batches.entries()) {
        const rows = rowIndex.length;
        const key = `${model.folder}: leave ${size} x ${length}, ${rows} rows`;
        const session = await runtime.session(key, () => leaveProgram(model, { batch: size, length, rows }));
        await run(session, n, { ...outside, row_index: runtime.tensor(rowIndex, [rows]) });
      }
      return states.map((state, n) => state.subarray(0, batches[n]!.rowIndex.length * hiddenSize));
    },
  };
}

/** Finds the session of a layer; each layer's program is built once a shape to see of which kind it is. */
function layerSessions(model: Model, runtime: Runtime) {
  const kinds = new Map<string, string>();
  return (index: number, batch: StreamedBatch): Promise<Session> => {
    const { size, length, isLong } = batch;
    const place = `${index}/${shapeKey(batch)}`;
    const build = (): Program => layerProgram(model, index, { batch: size, length, isLong });
    let program: Program | undefined;
    let kind = kinds.get(place);
    if (kind === undefined) {
      program = build();
      kind = createHash("sha256").update(program.onnx).digest("hex");
      kinds.set(place, kind);
    }
    return runtime.session(`${model.folder}: layer ${size} x ${length}, ${kind}`, () => program ?? build());
  };
}
