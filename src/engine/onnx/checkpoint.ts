/**
 * A trainer's state in one safetensors file: `weight/`, `mean/` and `square/` of every tensor in float32, the number of
 * steps in the metadata. Everything else that continues a training (schedule, data cursor) is the stage's.
 */
import { inputError } from "../../errors.ts";
import { openSafetensorsWriter, readSafetensorsHeader, withTensorFile } from "../../formats/safetensors.ts";
import type { TrainingState } from "./training.ts";

const FORMAT = "fusechat-checkpoint-1";
const PARTS = ["weight", "mean", "square"] as const;

export async function writeCheckpoint(state: TrainingState, path: string): Promise<void> {
  const shapes = state.model.shapes;
  const entries = PARTS.flatMap((part) =>
    shapes.map(({ name, shape }) => ({ name: `${part}/${name}`, dtype: "F32" as const, shape })),
  );
  const writer = await openSafetensorsWriter(path, entries, { format: FORMAT, steps: `${state.steps}` });
  try {
    for (const part of PARTS) {
      for (const { name } of shapes) {
        const { buffer, byteOffset, byteLength } = state.parameters.get(name)![part];
        await writer.write(new Uint8Array(buffer, byteOffset, byteLength));
      }
    }
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** Restores bit for bit. The whole header is checked before the state is touched. */
export async function readCheckpoint(state: TrainingState, path: string): Promise<void> {
  const { tensors, metadata } = await readSafetensorsHeader(path);
  const steps = Number(metadata.steps);
  if (metadata.format !== FORMAT || !Number.isSafeInteger(steps) || steps < 0) {
    throw inputError(path, `expected a checkpoint (${FORMAT}), found ${JSON.stringify(metadata.format ?? "none")}`);
  }
  const { shapes } = state.model;
  for (const part of PARTS) {
    for (const { name, shape } of shapes) {
      const info = tensors.get(`${part}/${name}`);
      if (info?.dtype !== "F32" || info.shape.join() !== shape.join()) {
        const found = info === undefined ? "none" : `${info.dtype} [${info.shape.join(", ")}]`;
        throw inputError(
          `${path}: "${part}/${name}"`,
          `expected F32 [${shape.join(", ")}], found ${found}; this checkpoint belongs to another model`,
        );
      }
    }
  }
  for (const part of PARTS) {
    for (const { name } of shapes) {
      const { buffer, byteOffset, byteLength } = state.parameters.get(name)![part];
      const own = new Uint8Array(buffer, byteOffset, byteLength);
      // Straight into place: one copy beside it would be as large as the largest tensor.
      await withTensorFile(tensors.get(`${part}/${name}`)!, (read) => read(own, 0));
    }
  }
  state.steps = steps;
}
