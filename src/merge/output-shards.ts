/**
 * Where the merged weights lie: one `model.safetensors`, or shards with an index where they are larger than a shard may
 * be. Every byte's place is known from the plan, so tensors can be written in any order and by several threads.
 */
import { join } from "node:path";
import { writeJson } from "../formats/files.ts";
import { DTYPE_BYTES, safetensorsLayout, type TensorEntry } from "../formats/safetensors.ts";

/** As the Hub's own tools cut large models. */
export const SHARD_BYTES = 5_000_000_000;

export interface OutputShard {
  /** Its name in the output folder. */
  readonly file: string;
  /** What the file begins with. */
  readonly header: Uint8Array;
  /** Of the whole file. */
  readonly bytes: number;
  /** Its tensors are those from here on, in the order of the plan. */
  readonly first: number;
  /** The tensors' first bytes in the file. */
  readonly positions: readonly number[];
  /** The tensors' bytes. */
  readonly lengths: readonly number[];
}

/** Cuts the output; a single tensor larger than `shardBytes` gets a shard of its own. */
export function planShards(entries: readonly TensorEntry[], shardBytes: number): readonly OutputShard[] {
  const cuts = cut(entries, shardBytes);
  const number = (value: number): string => String(value).padStart(5, "0");
  let first = 0;
  return cuts.map((own, index) => {
    const { header, places } = safetensorsLayout(own, { format: "pt" });
    const shard: OutputShard = {
      file:
        cuts.length === 1 ? "model.safetensors" : `model-${number(index + 1)}-of-${number(cuts.length)}.safetensors`,
      header,
      bytes: header.byteLength + bytesOf(own),
      first,
      positions: places.map(({ begin }) => header.byteLength + begin),
      lengths: places.map(({ byteLength }) => byteLength),
    };
    first += own.length;
    return shard;
  });
}

/** The index that says which shard has which tensor; a single shard needs none. */
export async function writeShardIndex(
  folder: string,
  entries: readonly TensorEntry[],
  shards: readonly OutputShard[],
): Promise<void> {
  if (shards.length === 1) return;
  const map = shards.flatMap(({ file, first, positions }) =>
    entries.slice(first, first + positions.length).map(({ name }) => [name, file] as const),
  );
  await writeJson(join(folder, "model.safetensors.index.json"), {
    metadata: { total_size: bytesOf(entries) },
    weight_map: Object.fromEntries(map),
  });
}

function cut(entries: readonly TensorEntry[], shardBytes: number): TensorEntry[][] {
  const shards: TensorEntry[][] = [[]];
  let bytes = 0;
  for (const entry of entries) {
    const size = bytesOf([entry]);
    if (bytes > 0 && bytes + size > shardBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(entry);
    bytes += size;
  }
  return shards;
}

function bytesOf(entries: readonly TensorEntry[]): number {
  return entries.reduce(
    (total, { dtype, shape }) => total + shape.reduce((product, extent) => product * extent, DTYPE_BYTES[dtype]),
    0,
  );
}
