/**
 * Memory for one shard after the other. A shard is some 20 MB of arrays: made anew each time they pile up before the
 * garbage collector, which sees only their small handles, takes notice, and every page of them is cleared by the system.
 */
import type { TensorMemory } from "../../formats/safetensors.ts";

/** One block for each name, as large as the largest that was asked for, and a little more as shards differ in size. */
export function createShardMemory(): TensorMemory {
  const blocks = new Map<string, ArrayBuffer>();
  return (name, byteLength) => {
    let block = blocks.get(name);
    if (block === undefined || block.byteLength < byteLength) {
      block = new ArrayBuffer(Math.ceil(1.1 * byteLength));
      blocks.set(name, block);
    }
    return new Uint8Array(block, 0, byteLength);
  };
}
