/**
 * The merged weights on their way into safetensors files: one `model.safetensors`, or shards with an index where they
 * are larger than a shard may be. Tensors come one after the other, in pieces.
 */
import { join } from "node:path";
import { internalError } from "../errors.ts";
import { writeJson } from "../formats/files.ts";
import {
  DTYPE_BYTES,
  openSafetensorsWriter,
  type SafetensorsWriter,
  type TensorEntry,
} from "../formats/safetensors.ts";

/** As the Hub's own tools cut large models. */
export const SHARD_BYTES = 5_000_000_000;

export interface ShardedWriter {
  /** Bytes of the tensors in the announced order. */
  write(bytes: Uint8Array): Promise<void>;
  commit(): Promise<void>;
  abort(): Promise<void>;
}

export async function openShardedWriter(
  folder: string,
  entries: readonly TensorEntry[],
  shardBytes: number,
): Promise<ShardedWriter> {
  const shards = cut(entries, shardBytes);
  const name = (index: number): string => {
    if (shards.length === 1) return "model.safetensors";
    const number = (value: number): string => String(value).padStart(5, "0");
    return `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`;
  };
  let current: SafetensorsWriter | undefined;
  let index = 0;
  let rest = 0;
  const open = async (): Promise<void> => {
    current = await openSafetensorsWriter(join(folder, name(index)), shards[index]!, { format: "pt" });
    rest = bytesOf(shards[index]!);
  };
  const close = async (): Promise<void> => {
    await current?.commit();
    current = undefined;
  };
  await open();
  return {
    write: async (bytes) => {
      let done = 0;
      while (done < bytes.byteLength) {
        if (rest === 0) {
          await close();
          index++;
          if (index === shards.length) throw internalError("the merge has more bytes than were announced");
          await open();
        }
        const count = Math.min(rest, bytes.byteLength - done);
        await current!.write(bytes.subarray(done, done + count));
        done += count;
        rest -= count;
      }
    },
    commit: async () => {
      await close();
      if (shards.length === 1) return;
      const map = shards.flatMap((shard, at) => shard.map((entry) => [entry.name, name(at)] as const));
      await writeJson(join(folder, "model.safetensors.index.json"), {
        metadata: { total_size: bytesOf(entries) },
        weight_map: Object.fromEntries(map),
      });
    },
    abort: async () => {
      await current?.abort();
    },
  };
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
