/** What several engine tests need of the golden models: folders, and the second sequence's padding cut off. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Sequence, TrainSequence } from "#src/engine/engine.js";
import { readSafetensors } from "#src/formats/safetensors.js";

/** Every kind of path through the engine; the others, of which `further-models.long.ts` takes care, share them. */
export const GOLDEN_MODELS = [
  "cohere2",
  "gemma2",
  "gemma3_text",
  "internlm2",
  "llama",
  "llama3",
  "mistral",
  "mixtral",
  "phi3",
  "phi4-mini",
  "qwen2",
  "qwen3",
  "smollm3",
] as const;

export const FURTHER_MODELS = [
  "gemma3",
  "glm4",
  "granite",
  "internlm3",
  "llama-yarn",
  "mistral3",
  "olmo2",
  "qwen2-yarn",
  "qwen3_moe",
] as const;

export const pipeline: string = resolve(import.meta.dirname, "../../golden/pipeline");

export function goldenFolder(name: string): string {
  return resolve(import.meta.dirname, "../../golden/models", name);
}

export interface GoldenFigures {
  readonly loss: number;
  readonly label_loss: number;
  readonly sparse_loss: number;
  readonly grad_norm: number;
  readonly greedy: { readonly prompt: readonly number[]; readonly ids: readonly number[] };
}

export function goldenFigures(name: string): GoldenFigures {
  return JSON.parse(readFileSync(resolve(goldenFolder(name), "golden.json"), "utf8"));
}

/** The golden batch as training sequences: `ids` ends with the label of the last position. */
export async function goldenSequences(name: string): Promise<TrainSequence[]> {
  const { tensors } = await readSafetensors(resolve(goldenFolder(name), "golden.safetensors"));
  const [batch, length] = tensors.get("input_ids")!.shape as [number, number];
  const inputs = tensors.get("input_ids")!.data as Int32Array;
  const labels = tensors.get("labels")!.data as Int32Array;
  const mask = tensors.get("loss_mask")!.data as Uint8Array;
  const targetId = tensors.get("target_id")!.data as Int32Array;
  const targetProbability = tensors.get("target_prob")!.data as Float32Array;
  return Array.from({ length: batch }, (_, b) => {
    const positions: number[] = [];
    for (let t = 0; t < length; t++) if (mask[b * length + t] === 1) positions.push(t + 1);
    const end = positions.at(-1)!;
    const ids = new Int32Array(end + 1);
    ids.set(inputs.subarray(b * length, b * length + end));
    ids[end] = labels[b * length + end - 1]!;
    const rows = positions.map((position) => b * length + position - 1);
    return {
      ids,
      positions: Int32Array.from(positions),
      targetId: Int32Array.from(rows.flatMap((row) => [...targetId.subarray(4 * row, 4 * row + 4)])),
      targetProbability: Float32Array.from(
        rows.flatMap((row) => [...targetProbability.subarray(4 * row, 4 * row + 4)]),
      ),
      tailProbability: null,
    };
  });
}

/** The conversations of the golden pipeline as one model reads them, in order; refused ones are left out. */
export function goldenRows(name: string): Sequence[] {
  const lines = readFileSync(resolve(pipeline, `rows/${name}.jsonl`), "utf8")
    .trim()
    .split("\n");
  return lines
    .map((line) => JSON.parse(line) as { ids?: number[]; position?: number[] })
    .flatMap(({ ids, position }) =>
      ids === undefined ? [] : [{ ids: Int32Array.from(ids), positions: Int32Array.from(position!) }],
    );
}
